/**
 * A plant that is scaled, in steps of 15 s: nodes are ready after their boot time, a step with
 * more load than 0.85 of the nodes that are ready is a broken promise, and nobody goes below the largest wish
 * of the last five minutes. As in the protocol that docs/autoscaling.md describes.
 */
import { ScalingPolicy } from '../../src/scaling/policy.ts'

export const stepMs = 15_000
const stepsPerMinute = 4
const [nodesMin, nodesMax] = [2, 400]
const promisedShare = 0.85
const downSteps = 20

export interface Seen { readonly step: number; readonly load: number; readonly ready: number; readonly total: number }
/** The nodes it wants, booting ones among them. */
export type Scaler = (seen: Seen) => number
export type MakeScaler = (target: number, bootMs: number) => Scaler

export interface Score { readonly violationMinutes: number; readonly nodeHours: number; readonly steps: number }

export function run(load: Float64Array, scaler: Scaler, bootMs: number, from: number, to: number): Score {
  const bootSteps = Math.round(bootMs / stepMs)
  let ready = nodesMin
  const booting: number[] = []
  const wishes: number[] = []
  let [violations, nodes, steps] = [0, 0, 0]
  for (let step = 0; step < to; step++) {
    while (booting.length > 0 && booting[0]! <= step) { booting.shift(); ready++ }
    const total = ready + booting.length
    const wanted = Math.min(nodesMax, Math.max(nodesMin, scaler({ step, load: load[Math.max(0, step - 1)]!, ready, total })))
    wishes.push(wanted)
    if (wishes.length > downSteps) wishes.shift()
    let surplus = total - Math.max(...wishes)
    for (let more = total; more < wanted; more++) booting.push(step + bootSteps)
    for (; surplus > 0 && booting.length > 0; surplus--) booting.pop()
    if (surplus > 0) ready -= surplus
    if (step < from) continue
    steps++
    nodes += ready + booting.length
    if (load[step]! > promisedShare * ready) violations++
  }
  return { violationMinutes: violations / stepsPerMinute, nodeHours: nodes * stepMs / 3_600_000, steps }
}

/**
 * The Kubernetes HorizontalPodAutoscaler, as its documentation gives the algorithm: tolerance
 * 0.1, nodes that boot count as idle when it scales up, at most double or four more in a step.
 * What it sees is two steps old, and utilisation ends at 1.
 */
export const horizontalPodAutoscaler: MakeScaler = target => {
  const past: { load: number; ready: number }[] = []
  return ({ load, ready, total }) => {
    past.push({ load, ready })
    const utilisation = Math.min(1, (past.length > 1 ? past.at(-2)! : past[0]!).load / ready)
    if (past.length > 2) past.shift()
    let ratio = utilisation / target
    if (Math.abs(ratio - 1) <= 0.1) return total
    const most = Math.max(2 * total, total + 4)
    if (ratio < 1 || total === ready) return Math.min(Math.ceil(ready * ratio), most)
    ratio = utilisation * ready / (total * target)
    return ratio <= 1.1 ? total : Math.min(Math.ceil(total * ratio), most)
  }
}

export const tenfold: MakeScaler = (target, bootMs) => {
  // The plant itself keeps the largest wish of the last minutes, for both alike.
  const policy = new ScalingPolicy({ min: nodesMin, max: nodesMax, target, stepMs, bootMs, downMs: stepMs })
  return ({ load }) => policy.decide(load).wanted
}

/** Broken promises that a setting may cost on the first half: of all steps. */
const budget = 0.002

/** The cheapest setting that breaks no more promises on the first half than it may; scored on the second. */
export function tune(load: Float64Array, make: MakeScaler, bootMs: number, violationMinutesMax = Infinity): Score & { readonly target: number; readonly tunedViolationMinutes: number } {
  const half = load.length >> 1
  const warm = Math.min(3 * 24 * 60 * stepsPerMinute, Math.floor(load.length / 6))
  // From the cheapest: a lower share of busy nodes only buys more of them.
  for (let percent = 90; percent >= 30; percent--) {
    const target = percent / 100
    const { violationMinutes, steps } = run(load, make(target, bootMs), bootMs, warm, half)
    if (violationMinutes > violationMinutesMax || violationMinutes * stepsPerMinute / steps > budget) continue
    return { target, tunedViolationMinutes: violationMinutes, ...run(load, make(target, bootMs), bootMs, half, load.length) }
  }
  throw new Error('no setting keeps the promise on the first half')
}
