/**
 * Adds and removes processes between the bounds of the topology, from the load that is offered
 * (demand.ts) and what is to come (scaling/policy.ts). It decides in the supervisor, apart from
 * every request: when it fails, the processes go on as they are; when it starts again, it goes on
 * from what it has written down.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fault } from '../base/errors.ts'
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import type { MetricReading, NumberSample } from '../base/metric-registry.ts'
import type { MetricName } from '../base/metric-table.ts'
import { every, monotonicMs, now } from '../base/time.ts'
import type { Orchestrator, ProcessAnswer } from '../ports/orchestrator.ts'
import type { ForecastState } from '../scaling/forecast.ts'
import { ScalingPolicy } from '../scaling/policy.ts'
import type { Wish } from '../scaling/policy.ts'
import type { Plan, PlannedProcess } from '../topology/plan.ts'
import { demandMetrics, DemandMeter } from './demand.ts'
import type { EngineMetrics } from './engine-metrics.ts'

export interface AutoscalerOptions {
  /** Those that are scaled. */
  readonly processes: readonly PlannedProcess[]
  readonly dataFolder: string
  readonly log: Logger
  /** Time runs that many times faster: for rehearsals. */
  readonly speed?: number
  readonly ask: () => Promise<readonly ProcessAnswer[]>
  /** Events and jobs that wait. */
  readonly backlog: () => Promise<number>
  /** How many run. */
  readonly countOf: (process: string) => number
  /** Resolves when that many take work. */
  readonly scale: (process: string, count: number) => Promise<void>
}

export interface Decision extends Wish {
  readonly atMs: number
  readonly process: string
  readonly from: number
  readonly to: number
}

const stepMs = 15_000
const downMs = 300_000
/** From the wish to a process that takes requests. */
const bootMs = 15_000
/** What a process can use: its event loop is one thread, and the topology may give it less. */
const coresOf = ({ cpu }: PlannedProcess): number => Math.min(1, cpu ?? 1)
const decisionsMax = 200

interface Memory { readonly counts: Readonly<Record<string, number>>; readonly forecasts: Readonly<Record<string, ForecastState>> }

export class Autoscaler {
  readonly #options: AutoscalerOptions
  readonly #meter = new DemandMeter()
  readonly #policies = new Map<string, ScalingPolicy>()
  readonly #decisions: Decision[] = []
  /** By process, the newest. */
  readonly #wishes = new Map<string, Wish>()
  #stop = () => {}

  constructor(options: AutoscalerOptions) { this.#options = options }

  /** How many of each process ran when it last decided; empty at the first start. */
  static async counts(dataFolder: string): Promise<Readonly<Record<string, number>>> {
    return (await remembered(dataFolder))?.counts ?? {}
  }

  async start(): Promise<void> {
    const { processes, speed = 1, dataFolder } = this.#options
    const memory = await remembered(dataFolder)
    for (const { name, scale } of processes) {
      if (scale) this.#policies.set(name, new ScalingPolicy({ ...scale, stepMs: stepMs / speed, bootMs: bootMs / speed, downMs: downMs / speed }, memory?.forecasts[name] ?? null))
    }
    this.#stop = every(stepMs / speed, () => this.#step().catch((error: unknown) => this.#options.log.error({ err: error }, 'the autoscaler failed; the processes go on as they are')))
  }

  stop(): void { this.#stop() }

  /** The newest first. */
  decisions(limit: number): readonly Decision[] { return this.#decisions.slice(-limit).reverse() }

  metrics(): readonly MetricReading[] {
    const of = (name: MetricName, value: (wish: Wish) => number): MetricReading => ({ name, samples: [...this.#wishes].map(([process, wish]) => ({ labels: { name: process }, value: value(wish) })) })
    return this.#wishes.size === 0 ? [] : [of('tenfold_scaling_wanted', wish => wish.wanted), of('tenfold_scaling_limited', wish => wish.reason === 'max' ? 1 : 0)]
  }

  async #step(): Promise<void> {
    const { ask, backlog, countOf, scale, log, processes } = this.#options
    const waiting = await backlog()
    const inBackground = new Set(processes.filter(one => one.does !== 'requests').map(one => one.name))
    const demand = this.#meter.read(await ask(), monotonicMs(), name => inBackground.has(name) ? waiting : 0)
    if (!demand) return
    for (const process of processes) {
      const { name } = process
      const policy = this.#policies.get(name)
      if (!policy) continue
      const wish = policy.decide((demand.get(name) ?? 0) / coresOf(process))
      this.#wishes.set(name, wish)
      const from = countOf(name)
      if (wish.wanted === from) continue
      log.info({ child: name, from, to: wish.wanted, load: round(wish.load), forecast: round(wish.forecast), reason: wish.reason }, `scales ${name} from ${from} to ${wish.wanted}`)
      this.#decisions.push({ ...wish, atMs: now(), process: name, from, to: wish.wanted })
      if (this.#decisions.length > decisionsMax) this.#decisions.shift()
      await scale(name, wish.wanted)
    }
    await this.#remember()
  }

  async #remember(): Promise<void> {
    const { dataFolder, countOf } = this.#options
    const memory: Memory = {
      counts: Object.fromEntries([...this.#policies.keys()].map(name => [name, countOf(name)])),
      forecasts: Object.fromEntries([...this.#policies].map(([name, policy]) => [name, policy.state()])),
    }
    await writeFile(`${fileOf(dataFolder)}.new`, JSON.stringify(memory))
    await rename(`${fileOf(dataFolder)}.new`, fileOf(dataFolder))
  }
}

export interface AutoscalerStart extends Pick<AutoscalerOptions, 'dataFolder' | 'log' | 'countOf' | 'scale'> {
  readonly plan: Plan
  readonly orchestrator: Orchestrator
  readonly measured: EngineMetrics
}

/** Null when nothing is scaled. TENFOLD_SCALING_SPEED lets its time run faster, for rehearsals. */
export async function startAutoscaler({ plan, orchestrator, measured, ...options }: AutoscalerStart, closers: Closers): Promise<Autoscaler | null> {
  const processes = plan.processes.filter(one => one.scale)
  if (processes.length === 0) return null
  const autoscaler = new Autoscaler({ ...options, processes, speed: speedOf(process.env.TENFOLD_SCALING_SPEED), ask: () => orchestrator.ask('metrics', demandMetrics), backlog: async () => backlogIn(await measured.read()) })
  await autoscaler.start()
  closers.add(() => autoscaler.stop())
  return autoscaler
}

function speedOf(text = '1'): number {
  const speed = Number(text)
  if (!(speed > 0 && speed <= 100)) throw fault('USAGE', `TENFOLD_SCALING_SPEED is '${text}': set it to a number above 0 and at most 100, or leave it out`)
  return speed
}

/** An event waits for each of its consumers, and for each it is work. */
function backlogIn(readings: readonly MetricReading[]): number {
  const waits = (name: MetricName, isCounted = (_: NumberSample) => true) => (readings.find(one => one.name === name)?.samples ?? [])
    .reduce((sum, sample) => 'value' in sample && isCounted(sample) ? sum + sample.value : sum, 0)
  return waits('tenfold_bus_waiting') + waits('tenfold_queue_jobs', ({ labels }) => labels.state === 'waiting')
}

const fileOf = (dataFolder: string): string => path.join(dataFolder, 'autoscaler.json')
const round = (value: number): number => Math.round(value * 100) / 100

/** Null when there is nothing, or nothing that can be read: it learns anew. */
async function remembered(dataFolder: string): Promise<Memory | null> {
  try { return JSON.parse(await readFile(fileOf(dataFolder), 'utf8')) as Memory } catch { return null }
}
