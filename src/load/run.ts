/**
 * Runs a load plan: one generator process or more, whose seconds are put together as they come
 * in. `runLoad` is what the command line and the console call.
 */
import { availableParallelism } from 'node:os'
import { fault } from '../base/errors.ts'
import { after, monotonicMs, now } from '../base/time.ts'
import { GeneratorFleet } from './generator-fleet.ts'
import type { GeneratorSecond } from './generator-process.ts'
import { loadJourneys } from './journey-files.ts'
import { planDefaults } from './plan.ts'
import type { LoadPlan } from './plan.ts'
import type { Profile } from './profile.ts'
import { generatorReportOf, isStrained, percentilesOf, stepReportOf } from './report.ts'
import type { LoadProgress, LoadReport } from './report.ts'
import { Tally } from './tally.ts'

export interface LoadOptions {
  /** Once a second. */
  readonly onProgress?: (progress: LoadProgress) => void
  /** The measurement begins: the warm-up is over. */
  readonly onMeasure?: () => void
  /** Ends the load early; the report then has what was measured. */
  readonly signal?: AbortSignal
}

const secondMs = 1_000
const strainedSecondsMax = 2

export async function runLoad(plan: LoadPlan, options: LoadOptions = {}): Promise<LoadReport> {
  assertPlan(plan)
  // Here as well, so that a fault in them is told before a process is started.
  await loadJourneys(plan.files, plan.mix)
  return new LoadRun(plan, options).run()
}

function assertPlan({ url, rate, users, durationMs, generators = 1 }: LoadPlan): void {
  if (!/^https?:\/\/[^/]+\/?$/.test(url)) throw fault('USAGE', `'${url}' is no address to send load to; write one like http://127.0.0.1:3000, without a path`)
  if ((rate === undefined) === (users === undefined)) throw fault('USAGE', 'a plan has either a rate of journeys or a number of users')
  if (!(durationMs > 0)) throw fault('USAGE', 'a plan needs a duration above 0')
  if (!Number.isInteger(generators) || generators < 1 || generators > 64) throw fault('USAGE', `${generators} generators cannot be started; write a number from 1 to 64`)
}

class LoadRun {
  readonly #plan: LoadPlan
  readonly #options: LoadOptions
  readonly #fleet: GeneratorFleet
  readonly #sum = new Tally()
  readonly #open = new Map<number, Map<number, GeneratorSecond>>()
  readonly #timeline: LoadProgress[] = []
  readonly #warmupSeconds: number
  readonly #living = new Set<number>()
  readonly #gone = new Set<number>()
  #waited = 0
  #startMs = 0
  #endedMs: number | null = null
  #strained = 0
  #isGrowing = false

  constructor(plan: LoadPlan, options: LoadOptions) {
    this.#plan = { ...plan, url: plan.url.replace(/\/$/, '') }
    this.#options = options
    this.#warmupSeconds = Math.ceil((plan.warmupMs ?? planDefaults.warmupMs) / secondMs)
    this.#fleet = new GeneratorFleet({ ...this.#plan, durationMs: plan.durationMs + this.#warmupSeconds * secondMs }, (index, message) => this.#take(index, message))
  }

  async run(): Promise<LoadReport> {
    const { signal, onMeasure } = this.#options
    const at = new Date(now()).toISOString()
    const abort = () => {
      this.#endedMs ??= monotonicMs()
      this.#fleet.end()
    }
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await this.#grow(this.#plan.generators ?? 1)
      if (signal?.aborted) throw signal.reason
      this.#startMs = monotonicMs()
      this.#share()
      const cancel = after(this.#warmupSeconds * secondMs, () => onMeasure?.())
      await this.#fleet.finished
      cancel()
      this.#flush(Infinity)
      return this.#report(at)
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#fleet.kill()
    }
  }

  async #grow(count: number): Promise<void> {
    // One after another: what they prepare is not part of the load.
    for (let started = 0; started < count; started++) await this.#fleet.grow()
  }

  #share(): void {
    this.#fleet.share(monotonicMs() - this.#startMs)
    for (let index = 0; index < this.#fleet.size; index++) if (!this.#gone.has(index)) this.#living.add(index)
    // One that was started meanwhile has not heard of the end.
    if (this.#endedMs !== null) this.#fleet.end()
  }

  #take(index: number, message: GeneratorSecond): void {
    const { second } = message
    const reports = this.#open.get(second) ?? new Map<number, GeneratorSecond>()
    reports.set(index, message)
    this.#open.set(second, reports)
    if (message.done) {
      this.#gone.add(index)
      this.#living.delete(index)
    }
    // Whoever is late for a second adds to the one after; nobody waits for more than that.
    this.#flush([...this.#living].every(one => reports.has(one)) ? second : second - 2)
  }

  /** Puts together the seconds up to this one. */
  #flush(upTo: number): void {
    for (const second of [...this.#open.keys()].sort((one, other) => one - other)) {
      if (second > upTo) return
      const reports = [...this.#open.get(second)!.values()]
      this.#open.delete(second)
      this.#putTogether(second, reports)
    }
  }

  #putTogether(second: number, reports: readonly GeneratorSecond[]): void {
    const tally = new Tally()
    for (const report of reports) tally.add(report.tally)
    const phase = second < this.#warmupSeconds ? 'warmup' : this.#endedMs === null && second * secondMs < this.#warmupSeconds * secondMs + this.#plan.durationMs ? 'measuring' : 'draining'
    if (phase !== 'warmup') {
      this.#sum.add(tally.delta())
      this.#waited += reports.reduce((sum, one) => sum + one.waited, 0)
    }
    const { good, refused, failed, byCode, latency } = tally.total()
    const sum = (pick: (one: GeneratorSecond) => number) => reports.reduce((so, one) => so + pick(one), 0)
    const most = (pick: (one: GeneratorSecond) => number) => reports.reduce((so, one) => Math.max(so, pick(one)), 0)
    const progress: LoadProgress = {
      second: second + 1, phase, offered: tally.offered, answers: good + refused + failed, good, refused, failed, byCode: { ...byCode }, ...percentilesOf(latency),
      inFlight: sum(one => one.inFlight), users: sum(one => one.users), generators: this.#fleet.size, lateShare: tally.offered === 0 ? 0 : tally.late / tally.offered,
      utilisation: most(one => one.utilisation), cpu: most(one => one.cpu),
    }
    this.#timeline.push(progress)
    this.#options.onProgress?.(progress)
    this.#strained = isStrained(progress) ? this.#strained + 1 : 0
    if (phase !== 'draining' && this.#strained >= strainedSecondsMax) void this.#growWhenAllowed()
  }

  async #growWhenAllowed(): Promise<void> {
    if (this.#plan.generators !== undefined || this.#isGrowing || this.#fleet.size >= availableParallelism()) return
    this.#isGrowing = true
    // Its failure ends the run by itself.
    await this.#fleet.grow().then(() => this.#share(), () => {})
    this.#strained = 0
    this.#isGrowing = false
  }

  #report(at: string): LoadReport {
    const { url, durationMs, ledger = null, lateMs = planDefaults.lateMs } = this.#plan
    const measuredMs = this.#endedMs === null ? durationMs : Math.min(durationMs, this.#endedMs - this.#startMs - this.#warmupSeconds * secondMs)
    const seconds = Math.max(0, measuredMs) / secondMs
    const total = stepReportOf('all', this.#sum.total())
    const perSecond = (count: number) => seconds === 0 ? 0 : count / seconds
    const { started, finished, gaveUp, acknowledged, offered } = this.#sum
    return {
      at, url, load: loadText(this.#plan), seconds, isAborted: this.#endedMs !== null,
      offeredPerSecond: perSecond(offered), answersPerSecond: perSecond(total.answers), goodPerSecond: perSecond(total.good),
      journeys: { started, finished, gaveUp }, acknowledged, ledger, total,
      steps: [...this.#sum.steps].map(([name, step]) => stepReportOf(name, step)).sort((one, other) => one.step < other.step ? -1 : 1),
      generator: generatorReportOf(this.#sum, { processes: this.#fleet.size, lateMs, waited: this.#waited, timeline: this.#timeline }), timeline: this.#timeline,
    }
  }
}

function loadText({ rate, users, arrivals = planDefaults.arrivals }: LoadPlan): string {
  return rate ? `${profileText(rate)} journeys/s, ${arrivals} arrivals` : `${profileText(users!)} users`
}

function profileText(profile: Profile): string {
  const number = (value: number) => String(Number(value.toPrecision(3)))
  const [{ durationMs, from, to } = { durationMs: 0, from: 0, to: 0 }] = profile
  if (profile.length === 1) return from === to ? number(to) : `${number(from)} to ${number(to)} in ${number(durationMs / secondMs)} s`
  return `a trace of ${profile.length} intervals, at most ${number(profile.reduce((most, one) => Math.max(most, one.from, one.to), 0))}`
}
