/**
 * Everything that is done to topology 3, one line a fault: to whom, how it is undone, and what
 * may be seen of it from outside meanwhile.
 */
import { spawnSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { sleep } from '../../src/base/time.ts'
import { memberFolder } from '../../src/drivers/postgres/group-state.ts'
import { setClock } from './clock.ts'
import { cutPort, cutReplication, relayAt, skipCut } from './network.ts'
import type { Direction } from './network.ts'
import { signalAll, until } from './site.ts'
import type { Kind, Site } from './site.ts'

/**
 * unnoticed: no attempt of anybody fails.
 * under way: what was under way there may fail, no more.
 * taken over: attempts fail until another has taken its place, for at most 30 s.
 * waits: nobody can take its place; writes wait, and go on within 10 s of its end.
 */
export type Criterion = 'unnoticed' | 'under way' | 'taken over' | 'waits'

export interface Fault {
  readonly name: string
  readonly criterion: Criterion
  /** How long it lasts; what is taken over lasts until that has happened, if that is later. */
  readonly holdMs: { readonly short: number | null; readonly long: number }
  readonly skip?: string | false
  /** Resolves when it is done; what it resolves with undoes it. */
  strike(site: Site): Promise<() => Promise<void>>
}

const kinds: readonly Kind[] = ['web', 'worker', 'replica', 'redis', 'nats', 'haproxy', 'primary']
const criteriaOfKills: Readonly<Record<Kind, Criterion>> = { web: 'under way', worker: 'unnoticed', replica: 'unnoticed', redis: 'unnoticed', nats: 'unnoticed', haproxy: 'under way', primary: 'taken over' }
const criteriaOfFreezes: Readonly<Record<Kind, Criterion>> = { ...criteriaOfKills, haproxy: 'taken over' }

const killed = (kind: Kind): Fault => ({
  name: `kill -9 of ${kind}`, criterion: criteriaOfKills[kind], holdMs: { short: ['web', 'nats'].includes(kind) ? 0 : null, long: 0 },
  async strike(site) {
    const pids = await site.pidsOf(kind)
    const epoch = await site.epoch()
    signalAll(pids.slice(0, 1), 'SIGKILL')
    return () => until(async () => kind === 'primary' ? await site.epoch() > epoch : site.isBack(kind, 0, pids), `${kind} is back`)
  },
})

const frozen = (kind: Kind): Fault => ({
  name: `${kind} stands still`, criterion: criteriaOfFreezes[kind], holdMs: { short: null, long: 30_000 },
  async strike(site) {
    const pids = await site.pidsOf(kind)
    signalAll(pids, 'SIGSTOP')
    return async () => signalAll(pids, 'SIGCONT')
  },
})

const cut = (kind: 'web' | 'primary' | 'replica' | 'nats', direction: Direction): Fault => ({
  name: `${kind} is cut off ${direction}`, criterion: criteriaOfFreezes[kind], holdMs: { short: null, long: 6_000 }, skip: skipCut,
  async strike(site) {
    const port = kind === 'web' ? await site.nodePort((await site.pidsOf('web'))[0]!)
      : kind === 'nats' ? await site.brokerPort() : await site.portOf(kind === 'primary' ? await site.primary() : (await site.replicas())[0]!)
    const mend = cutPort(port, direction)
    return async () => mend()
  },
})

const redisCut = (direction: Direction): Fault => ({
  name: `redis is cut off ${direction}`, criterion: 'unnoticed', holdMs: { short: null, long: 6_000 },
  async strike(site) {
    const relay = await relayAt(path.join(site.folder, 'redis/redis.sock'))
    await site.redis(redis => redis.call(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']))
    await sleep(1_000)
    relay.cut(direction)
    return () => relay.close()
  },
})

const clock = (kind: 'web' | 'worker', offsetMs: number): Fault => ({
  name: `the clock of a ${kind} is an hour ${offsetMs > 0 ? 'ahead' : 'behind'}`, criterion: 'unnoticed', holdMs: { short: null, long: 6_000 },
  strike: async site => setClock(site, (await site.pidsOf(kind))[0]!, offsetMs),
})

/** A commit that no replica has must not be acknowledged. */
export const unheardPrimaryDies: Fault = {
  name: 'the primary dies while no replica hears it', criterion: 'taken over', holdMs: { short: null, long: 0 }, skip: skipCut,
  async strike(site) {
    const mend = await cutReplication(site)
    await sleep(1_500)
    const epoch = await site.epoch()
    signalAll((await site.pidsOf('primary')).slice(0, 1), 'SIGKILL')
    await until(async () => await site.epoch() > epoch, 'a replica is promoted')
    return async () => mend()
  },
}

/** The folder of this member is a file system of its own, see matrix.test.ts. */
export const smallMember = 1
const fullDisk = (skip: string | false): Fault => ({
  name: 'the disk of a replica is full', criterion: 'unnoticed', holdMs: { short: null, long: 12_000 }, skip,
  async strike(site) {
    const folder = memberFolder(site.folder, smallMember)
    const ballast = path.join(folder, 'ballast')
    // What is given back meanwhile is taken as well; what the server has just taken itself is not there any more.
    const fill = (times: number) => {
      const { bavail, bsize } = statfsSync(folder)
      for (let blocks = bavail; blocks > 0; blocks >>= 1) if (spawnSync('fallocate', ['-l', String(blocks * bsize), `${ballast}-${times}`]).status === 0) return
    }
    for (let times = 0; times < 5; times++) { fill(times); await sleep(100) }
    return async () => { for (let times = 0; times < 5; times++) await rm(`${ballast}-${times}`, { force: true }) }
  },
})

const flushed: Fault = {
  name: 'redis is flushed', criterion: 'unnoticed', holdMs: { short: 0, long: 0 },
  async strike(site) {
    for (let times = 0; times < 5; times++) { await site.redis(redis => redis.call(['FLUSHALL'])); await sleep(50) }
    return async () => {}
  },
}

const restarted: Fault = {
  name: 'the broker is restarted', criterion: 'unnoticed', holdMs: { short: null, long: 0 },
  async strike(site) {
    const pids = await site.pidsOf('nats')
    signalAll(pids, 'SIGTERM')
    return () => until(() => site.isBack('nats', 0, pids), 'the broker is back')
  },
}

const directions: readonly Direction[] = ['both ways', 'towards it', 'from it']

/** In this order: the disk first, while the small one is a replica's; a primary last, since it takes longest to be whole again. */
export const faultsOf = (skipDisk: string | false): readonly Fault[] => [
  fullDisk(skipDisk), flushed, restarted,
  ...kinds.filter(kind => kind !== 'primary').map(killed),
  ...kinds.filter(kind => kind !== 'primary').map(frozen),
  ...(['web', 'replica', 'nats'] as const).flatMap(kind => directions.map(direction => cut(kind, direction))),
  ...directions.map(redisCut),
  clock('web', 3_600_000), clock('web', -3_600_000), clock('worker', 3_600_000), clock('worker', -3_600_000),
  killed('primary'), frozen('primary'), ...directions.map(direction => cut('primary', direction)), unheardPrimaryDies,
]
