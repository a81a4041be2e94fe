/** What queueing theory says of a single server with Poisson arrivals, and the same by simulation. Times in milliseconds. */
import type { Fraction } from '../../src/load/draw.ts'

export interface Percentiles { readonly p50Ms: number; readonly p90Ms: number; readonly p99Ms: number }

export interface Queue {
  readonly kind: 'M/M/1' | 'M/D/1'
  readonly serviceMs: number
  readonly utilisation: number
}

export const serviceDraw = ({ kind, serviceMs }: Pick<Queue, 'kind' | 'serviceMs'>, fraction: Fraction): number => kind === 'M/D/1' ? serviceMs : -Math.log(1 - fraction()) * serviceMs

/** Of the time from arrival to departure. */
export function theory({ kind, serviceMs, utilisation }: Queue): Percentiles & { readonly meanMs: number } {
  // Pollaczek and Khinchine: the mean wait is that of M/M/1, halved when service is constant.
  const meanMs = serviceMs + serviceMs * utilisation / (1 - utilisation) / (kind === 'M/D/1' ? 2 : 1)
  const at = kind === 'M/M/1' ? (part: number) => -Math.log(1 - part) * meanMs : (part: number) => serviceMs + waitQuantile(part, serviceMs, utilisation)
  return { meanMs, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }
}

function waitQuantile(part: number, serviceMs: number, utilisation: number): number {
  let [low, high] = [0, 40 * serviceMs]
  while (high - low > serviceMs / 1e6) {
    const middle = (low + high) / 2
    if (waitWithin(middle, serviceMs, utilisation) < part) low = middle
    else high = middle
  }
  return low
}

/** P(wait ≤ t) of M/D/1, Erlang's series. It alternates: good for waits of some twenty services. */
function waitWithin(waitMs: number, serviceMs: number, utilisation: number): number {
  const rate = utilisation / serviceMs
  let sum = 0
  for (let count = 0; count <= Math.floor(waitMs / serviceMs); count++) {
    const x = rate * (count * serviceMs - waitMs)
    let term = Math.exp(-x)
    for (let factor = 1; factor <= count; factor++) term *= x / factor
    sum += term
  }
  return (1 - utilisation) * sum
}

export interface SimulationOptions {
  /** The first of these many that arrive, or those that arrive within a time. */
  readonly count?: number
  readonly durationMs?: number
  /** Draws gaps, and among several queues the one that an arrival goes to. */
  readonly arrivals: Fraction
  /** One for each queue: its services. */
  readonly services: readonly Fraction[]
}

/** By Lindley's recursion: each begins when it comes or when the one before in its queue has gone. All queues together. */
export function simulate({ kind, serviceMs, utilisation }: Queue, { count = Infinity, durationMs = Infinity, arrivals, services }: SimulationOptions): Percentiles & { readonly count: number } {
  const gapMs = serviceMs / utilisation / services.length
  const departuresMs = services.map(() => 0)
  const sojourns: number[] = []
  for (let arrivalMs = -Math.log(1 - arrivals()) * gapMs; sojourns.length < count && arrivalMs < durationMs; arrivalMs += -Math.log(1 - arrivals()) * gapMs) {
    const queue = services.length === 1 ? 0 : Math.floor(arrivals() * services.length)
    departuresMs[queue] = Math.max(arrivalMs, departuresMs[queue]!) + serviceDraw({ kind, serviceMs }, services[queue]!)
    sojourns.push(departuresMs[queue] - arrivalMs)
  }
  return { count: sojourns.length, ...percentilesOf(sojourns) }
}

export function percentilesOf(values: Float64Array | readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort()
  const at = (part: number) => sorted[Math.ceil(sorted.length * part) - 1]!
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }
}

/** The largest part by which any percentile is off. */
export const error = (measured: Percentiles, right: Percentiles): number =>
  Math.max(...(['p50Ms', 'p90Ms', 'p99Ms'] as const).map(one => Math.abs(measured[one] / right[one] - 1)))
