/**
 * Watches the deployment for a while, for advice: all metrics at the beginning and the end,
 * states in between, what the database's connections do many times a second, and what a cache
 * would have answered. Who asks at the same time for as long gets the same evidence.
 */
import { availableParallelism } from 'node:os'
import { fault } from '../base/errors.ts'
import { Reading } from '../base/metric-window.ts'
import { monotonicMs, now, sleep } from '../base/time.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { GhostQuestion } from '../boot/process.ts'
import type { Evidence, GhostEvidence } from '../insight/binding/evidence.ts'
import { evidenceOf } from '../insight/binding/window.ts'
import type { StatementFacts } from '../ports/inspection.ts'
import type { Activity } from '../ports/measurements.ts'
import type { GhostReading } from '../runtime/ghost-cache.ts'
import { metricFamilies } from './metrics.ts'
import type { Observers } from './observers.ts'
import type { AdminRoute } from './route.ts'

const secondsStandard = 5
const secondsMax = 3_600
/** So often at most is looked at the database, and so often in all when it takes long. */
const lookMs = 40
const looks = 200
const readMs = 500
const reads = 40

export class EvidenceDesk {
  readonly #deployment: Deployment
  readonly #observers: Observers
  readonly #running = new Map<number, Promise<Evidence>>()
  readonly #ending = new AbortController()

  constructor(deployment: Deployment, observers: Observers) {
    this.#deployment = deployment
    this.#observers = observers
  }

  routes(): AdminRoute[] {
    return [{
      method: 'GET', path: '/evidence',
      answer: ({ query }) => {
        const seconds = Number(query.get('seconds') ?? secondsStandard)
        if (!(seconds >= 0.1 && seconds <= secondsMax)) throw fault('INVALID_INPUT', `seconds is '${query.get('seconds')}'; write a number from 0.1 to ${secondsMax}`)
        return this.watch(seconds)
      },
    }]
  }

  watch(seconds = secondsStandard): Promise<Evidence> {
    let running = this.#running.get(seconds)
    if (!running) this.#running.set(seconds, running = this.#watch(seconds).finally(() => this.#running.delete(seconds)))
    return running
  }

  stop(): void { this.#ending.abort() }

  async #watch(seconds: number): Promise<Evidence> {
    const { orchestrator, plan } = this.#deployment
    const windowMs = seconds * 1_000
    const at = new Date(now()).toISOString()
    const statementsBefore = await this.#statements()
    await orchestrator.ask('ghost', { warmMs: windowMs / 2 } satisfies GhostQuestion)
    const readings = [await this.#read()]
    const activity: (readonly Activity[])[] = []
    const endMs = monotonicMs() + windowMs
    const [everyMs, readEveryMs] = [Math.max(lookMs, windowMs / looks), Math.max(readMs, windowMs / reads)]
    for (let nextReadMs = monotonicMs() + readEveryMs; monotonicMs() < endMs && !this.#ending.signal.aborted;) {
      const looked = await this.#deployment.engineMetrics.activity()
      if (looked) activity.push(looked)
      if (monotonicMs() >= nextReadMs && monotonicMs() + readEveryMs < endMs) {
        readings.push(await this.#read())
        nextReadMs += readEveryMs
      }
      await sleep(Math.max(1, Math.min(everyMs, endMs - monotonicMs())), this.#ending.signal)
    }
    readings.push(await this.#read())
    const ghosts = ghostsOf((await orchestrator.ask('ghost', { warmMs: null } satisfies GhostQuestion)).flatMap(one => one.answer as GhostReading[]))
    return evidenceOf({
      at, application: plan.application, topology: plan.topology, cores: availableParallelism(), readings, activity, ghosts,
      answering: plan.processes.filter(({ does }) => does !== 'background').map(({ name }) => name),
      statementsBefore, statementsAfter: await this.#statements(),
    })
  }

  async #read(): Promise<Reading> { return new Reading(monotonicMs(), await metricFamilies(this.#deployment)) }

  /** None where the engine does not count them: the rest of the evidence stands without. */
  async #statements(): Promise<readonly StatementFacts[]> {
    return this.#observers.inspection.then(one => one.statements()).catch((error: unknown) => {
      this.#deployment.source.log.debug({ err: error }, 'the engine does not tell its statements')
      return []
    })
  }
}

/** Each process has seen its own part of the questions, and would keep its own answers. */
function ghostsOf(readings: readonly GhostReading[]): GhostEvidence[] {
  return [...Map.groupBy(readings, one => one.intent).values()].map(same => {
    const sum = (of: (one: GhostReading) => number) => same.reduce((total, one) => total + of(one), 0)
    const requests = sum(one => one.requests)
    const { intent, freshMs, isDeclared, sizes } = same[0]!
    const hits = (index: number, bound: 0 | 1) => sum(one => one.sizes[index]!.hits[bound] * one.requests) / requests
    return {
      intent, requests, keys: sum(one => one.keys), freshMs, isDeclared, bytesPerAnswer: sum(one => one.bytes) / Math.max(1, sum(one => one.answers)),
      sizes: sizes.map(({ bytesMax }, index) => ({ bytesMax, hits: [hits(index, 0), hits(index, 1)] as const })),
    }
  })
}
