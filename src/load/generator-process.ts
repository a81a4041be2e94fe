/** A generator in a process of its own, so that it and whoever started it do not disturb each other. Told what to do over IPC. */
import { performance } from 'node:perf_hooks'
import { isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { monotonicMs } from '../base/time.ts'
import { Agenda } from './agenda.ts'
import { ConnectionPool } from './connection-pool.ts'
import { seededFraction } from './draw.ts'
import { Generator } from './generator.ts'
import { loadJourneys } from './journey-files.ts'
import { openLedger } from './ledger.ts'
import { metronome } from './metronome.ts'
import { planDefaults } from './plan.ts'
import type { ToGenerator } from './plan.ts'
import type { TallyDelta } from './tally.ts'

export interface GeneratorSecond {
  readonly kind: 'second'
  /** Of the plan's time; the first is 0. */
  readonly second: number
  readonly tally: TallyDelta
  readonly inFlight: number
  readonly users: number
  /** Requests that waited for a connection. */
  readonly waited: number
  /** How much of the second its event loop was busy, and how much processor time it took, as parts of one core. */
  readonly utilisation: number
  readonly cpu: number
  /** It was the last. */
  readonly done: boolean
}

export type FromGenerator = { readonly kind: 'ready' } | GeneratorSecond | { readonly kind: 'fault'; readonly message: string; readonly code?: ErrorCode }

const secondMs = 1_000
/** Seeds of generators lie apart. */
const seedStep = 7_919

const tell = (message: FromGenerator, then = () => {}) => void process.send!(message, then)

function fail(error: unknown): void {
  tell(isTenfoldError(error) ? { kind: 'fault', message: error.message, code: error.code } : { kind: 'fault', message: (error as Error).message }, () => process.exit(1))
}

async function prepare({ plan, index, run }: ToGenerator & { kind: 'prepare' }): Promise<void> {
  const journeys = await loadJourneys(plan.files, plan.mix)
  const pool = new ConnectionPool(plan.url, plan.connectionsMax ?? planDefaults.connectionsMax)
  const agenda = new Agenda(await metronome())
  const random = plan.seed === undefined ? systemRandom.fraction : seededFraction(plan.seed + index * seedStep)
  let sequence = 0
  const unique = () => `${run}-${index.toString(36)}-${(sequence++).toString(36)}`
  const ledger = plan.ledger === undefined ? null : openLedger(plan.ledger)
  const generator = new Generator(plan, journeys, { sender: pool, agenda, random, ledger, unique }, fail)
  await generator.prepare()
  let begun = false
  process.on('message', (message: ToGenerator) => {
    if (message.kind === 'end') generator.end()
    if (message.kind !== 'share') return
    generator.setShare(message.index, message.count)
    if (begun) return
    begun = true
    const startMs = monotonicMs() - message.elapsedMs
    generator.begin(startMs)
    reportSeconds(generator, pool, agenda, startMs)
  })
  tell({ kind: 'ready' })
}

function reportSeconds(generator: Generator, pool: ConnectionPool, agenda: Agenda, startMs: number): void {
  let second = Math.floor((monotonicMs() - startMs) / secondMs)
  let utilisation = performance.eventLoopUtilization()
  let cpu = process.cpuUsage()
  let atMs = monotonicMs()
  let waited = pool.waited
  const report = () => {
    const done = generator.hasEnded && pool.inFlight === 0
    const [nowMs, used, { user, system }] = [monotonicMs(), performance.eventLoopUtilization(utilisation), process.cpuUsage(cpu)]
    const message: GeneratorSecond = {
      kind: 'second', second, tally: generator.takeTally().delta(), inFlight: pool.inFlight, users: generator.users, waited: pool.waited - waited,
      utilisation: used.utilization, cpu: (user + system) / 1_000 / (nowMs - atMs), done,
    }
    utilisation = performance.eventLoopUtilization()
    cpu = process.cpuUsage()
    atMs = nowMs
    waited = pool.waited
    if (done) return tell(message, () => process.exit(0))
    tell(message)
    second++
    next()
  }
  // After what fell due before it was sent: a generator that was held up has all of it in one turn, the end included.
  const next = () => agenda.at(startMs + (second + 1) * secondMs, () => setImmediate(report))
  next()
}

process.once('message', (message: ToGenerator) => { if (message.kind === 'prepare') void prepare(message).catch(fail) })
// A terminal tells the whole group; the one who started this says when it ends.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit(1))
