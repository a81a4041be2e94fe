/** Load over time in busy nodes, in steps of 15 s: recorded ones from `../shared/traces`, and one that is made here. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const folder = path.resolve(import.meta.dirname, '../../../shared/traces')
export const tracesAreThere = existsSync(folder)

/** The 99.99 % quantile becomes this many nodes. */
const peakNodes = 40
const noise = 0.015

/** Numerical Recipes' linear congruential generator: the same trace at each run. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}

function inSteps(counts: readonly number[], stepsEach: number): Float64Array {
  const random = seeded(7)
  const load = new Float64Array((counts.length - 1) * stepsEach)
  for (let step = 0; step < load.length; step++) {
    const at = Math.floor(step / stepsEach)
    const between = counts[at]! + (counts[at + 1]! - counts[at]!) * (step % stepsEach) / stepsEach
    load[step] = between * (1 + (random() * 2 - 1) * noise)
  }
  const peak = Float64Array.from(load).sort()[Math.floor(load.length * 0.9999)]!
  return load.map(one => one * peakNodes / peak)
}

const column = (file: string): number[] => readFileSync(path.join(folder, file), 'utf8').split('\n').filter(line => /^\d/.test(line)).map(line => Number(line.split(',')[1]))

/** Requests per minute of the World Cup 1998 site, from day 30 to 88; minutes that are missing are drawn through. */
export function worldCup(): Float64Array {
  const counts = column('worldcup98_1min.csv').slice(30 * 1_440, 88 * 1_440)
  for (let at = 1; at < counts.length; at++) {
    let end = at
    while (end < counts.length - 1 && counts[end] === 0) end++
    for (let gap = at; end - at >= 2 && gap < end; gap++) counts[gap] = counts[at - 1]! + (counts[end]! - counts[at - 1]!) * (gap - at + 1) / (end - at + 1)
    at = Math.max(at, end - 1)
  }
  return inSteps(counts, 4)
}

/** Requests in five minutes of a load balancer, over fourteen days, smoothed over fifteen minutes: nearly without a pattern. */
export function loadBalancer(): Float64Array {
  const counts = column('nab_elb_request_count_5min.csv')
  return inSteps(counts.map((_, at) => {
    const near = counts.slice(Math.max(0, at - 1), at + 2)
    return near.reduce((sum, one) => sum + one) / near.length
  }), 20)
}

/** Twelve days of a site that sleeps at night and is found by a crowd every now and then. */
export function dayAndNight(): Float64Array {
  const random = seeded(11)
  const counts = Array.from({ length: 12 * 1_440 }, (_, minute) => 100 + 60 * Math.sin(2 * Math.PI * (minute / 1_440 - 0.25)) + 8 * random())
  for (let crowd = 0; crowd < 14; crowd++) {
    const from = Math.floor(random() * (counts.length - 240))
    const height = 40 + 120 * random()
    for (let minute = 0; minute < 240; minute++) counts[from + minute]! += height * Math.min(1, minute / 12) * Math.exp(-Math.max(0, minute - 12) / 60)
  }
  return inSteps(counts, 4)
}
