/** What a database says about itself and about the runtime's tables in it. */
import { limits } from '../base/limits.ts'
import type { PostgresFacts, RuntimeFacts } from '../drivers/postgres/examination.ts'
import type { ServiceSchema } from '../ports/database.ts'
import { finderOf } from './finding.ts'
import type { Finding } from './finding.ts'

const find = finderOf('database')
const lagMs = 10_000
const skewMs = 1_000
const fullRatio = 0.9
const lagBytesMax = 16 * 1_048_576

/** `isServing`: a deployment runs on it, so what has not happened by now is late. `replicas`: as many as the topology names. */
export function examineDatabase(facts: PostgresFacts, schemas: readonly ServiceSchema[], isServing: boolean, replicas = 0): Finding[] {
  const { runtime } = facts
  return [
    ...engine(facts),
    ...replication(facts.replication, replicas, isServing),
    ...(runtime === null
      ? [find('migrations', 'none has run', { mend: `they run at the next start, or by 'tenfold migrate'`, state: isServing ? 'wrong' : 'note' })]
      : [...migrations(runtime, schemas, isServing), ...flow(runtime, isServing)]),
  ]
}

function engine({ version, versionNumber, settings, connections, oldestTransaction, clock }: PostgresFacts): Finding[] {
  const setting = (name: keyof typeof settings, isGood: boolean, mend: string, state?: 'note') =>
    find(name, settings[name], !isGood && { mend, ...(state ? { state } : {}) })
  const { fsync, synchronous_commit, full_page_writes, wal_level, data_checksums } = settings
  const late = oldestTransaction !== null && oldestTransaction.ageMs > lagMs + limits.transactionTimeoutMs
  return [
    find('Postgres', version, versionNumber < 180_000 && { mend: 'Postgres 18 is what Tenfold is tested with; 17 is the oldest that ends transactions which go on for too long (transaction_timeout)', state: versionNumber < 170_000 ? 'wrong' : 'note' }),
    setting('fsync', fsync === 'on', 'a power cut loses what was acknowledged, or the whole cluster: set fsync = on'),
    setting('synchronous_commit', synchronous_commit !== 'off', 'a crash loses what was acknowledged: set synchronous_commit = on'),
    setting('full_page_writes', full_page_writes === 'on', 'a power cut can tear pages: set full_page_writes = on'),
    setting('wal_level', wal_level === 'logical', 'moving to a larger topology copies by logical replication: set wal_level = logical and restart Postgres', 'note'),
    setting('data_checksums', data_checksums === 'on', 'a bad disk goes unnoticed: stop Postgres and run pg_checksums --enable', 'note'),
    find('connections', `${connections.used} of ${connections.max}`, connections.used > connections.max * fullRatio && { mend: 'calls will be refused: end idle programs, or raise max_connections' }),
    find('transactions', oldestTransaction ? `the oldest has been open for ${seconds(oldestTransaction.ageMs)}` : 'none open', late && {
      mend: `events wait behind it: end it with SELECT pg_terminate_backend(${oldestTransaction.pid})` }),
    find('clock of Postgres', `${Math.round(clock.aheadMs)} ms from this machine's`, Math.abs(clock.aheadMs) > skewMs + clock.exactMs && { mend: 'set both clocks right (NTP)' }),
  ]
}

function replication({ following, guard, idleSlots }: PostgresFacts['replication'], wanted: number, isServing: boolean): Finding[] {
  if (wanted === 0 && following.length === 0 && guard === '' && idleSlots.length === 0) return []
  const state = isServing ? 'wrong' as const : 'note' as const
  const far = following.filter(one => one.lagBytes > lagBytesMax)
  const found = following.length === 0 ? 'none follows' : following.map(one => `${one.name}${one.confirms ? ', which commits may wait for,' : ''} is ${one.lagBytes} bytes behind`).join('; ')
  const mend = following.length < wanted ? `${wanted} should follow: see the log of the deployment and of the replicas, beside their data` : 'it is not read from while it is so far behind: look for a long query there, or a full disk'
  return [
    find('replicas', found, (following.length < wanted || far.length > 0) && { mend, state }),
    ...guard !== '' && !following.some(one => one.confirms) ? [find('commits', `wait for a replica of ${guard}, and none follows`, { mend: 'every command waits: bring one back, or take it out of synchronous_standby_names' })] : [],
    ...idleSlots.length > 0 ? [find('replication slots', `nobody reads from ${idleSlots.join(', ')}`, { mend: `the log is kept for it until max_slot_wal_keep_size; if it is gone for good: SELECT pg_drop_replication_slot('${idleSlots[0]}')`, state: 'note' })] : [],
  ]
}

function migrations(runtime: RuntimeFacts, schemas: readonly ServiceSchema[], isServing: boolean): Finding[] {
  const ran = new Map(runtime.migrations.map(one => [`${one.service}/${one.number}`, one]))
  const all = schemas.flatMap(({ service, migrations }) => migrations.map(one => ({ ...one, service })))
  const pending = [...all.filter(one => !ran.has(`${one.service}/${one.number}`)).map(one => `${one.service}/${one.name}`), ...(runtime.ownPending > 0 ? [`${runtime.ownPending} of Tenfold's own`] : [])]
  const changed = all.filter(one => { const before = ran.get(`${one.service}/${one.number}`); return before && before.checksum !== one.checksum }).map(one => `${one.service}/${one.name}`)
  const known = new Set(all.map(one => `${one.service}/${one.number}`))
  const services = new Set(schemas.map(one => one.service))
  const missing = runtime.migrations.filter(one => services.has(one.service) && !known.has(`${one.service}/${one.number}`)).map(one => `${one.service}/${one.name}`)
  return [
    find('migrations', pending.length === 0 ? `all ${all.length} have run` : `not run: ${pending.join(', ')}`,
      pending.length > 0 && { mend: `run 'tenfold migrate', or start again`, state: isServing ? 'wrong' : 'note' }),
    ...(changed.length > 0 ? [find('migrations', `edited after they ran: ${changed.join(', ')}`, { mend: 'undo the edit and add a new migration: the next start refuses' })] : []),
    ...(missing.length > 0 ? [find('migrations', `ran and are missing here: ${missing.join(', ')}`, { mend: 'bring the files back: the next start refuses' })] : []),
  ]
}

function flow({ consumers, deadLetters, deadJobs, jobs }: RuntimeFacts, isServing: boolean): Finding[] {
  const late = { mend: isServing ? `its processes are down or too slow: see 'processes' above and the log` : 'a start works it off', state: isServing ? 'wrong' as const : 'note' as const }
  const behind = Object.entries(consumers).filter(([, depth]) => depth.oldestAgeMs > lagMs)
  const parked = Object.entries(consumers).filter(([, depth]) => depth.parked > 0)
  const waiting = Object.values(consumers).reduce((sum, depth) => sum + depth.waiting, 0)
  const total = (list: readonly { readonly count: number }[]) => list.reduce((sum, one) => sum + one.count, 0)
  const worded = (list: readonly { readonly count: number; readonly error: string }[], name: (index: number) => string) =>
    list.map(({ count, error }, index) => `${count} of ${name(index)} (${error.split('\n')[0]!.slice(0, 120)})`).join('; ')
  return [
    find('events', behind.length === 0 ? `${waiting} waiting for ${Object.keys(consumers).length} consumers` : behind.map(([name, depth]) => `${name} is ${depth.waiting} events and ${seconds(depth.oldestAgeMs)} behind`).join('; '), behind.length > 0 && late),
    ...(parked.length > 0 ? [find('parked', parked.map(([name, depth]) => `${depth.parked} of ${name}`).join(', '), { mend: 'they failed and are tried again by themselves; the log has the errors', state: 'note' })] : []),
    find('dead letters', total(deadLetters) === 0 ? 'none' : worded(deadLetters, index => deadLetters[index]!.consumer), total(deadLetters) > 0 && {
      mend: `mend the cause, then deliver them again: UPDATE tenfold.parked SET attempts = 0, dead_at = NULL, next_at = now() WHERE dead_at IS NOT NULL; NOTIFY tenfold_outbox, 'replay'` }),
    find('jobs', `${jobs.due} due`, jobs.oldestAgeMs > lagMs && { ...late, mend: `the oldest has been due for ${seconds(jobs.oldestAgeMs)}: ${late.mend}` }),
    find('dead jobs', total(deadJobs) === 0 ? 'none' : worded(deadJobs, index => deadJobs[index]!.name), total(deadJobs) > 0 && {
      mend: 'mend the cause, then run them again: UPDATE tenfold.job SET attempts = 0, dead_at = NULL, run_at = now() WHERE dead_at IS NOT NULL' }),
  ]
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`
