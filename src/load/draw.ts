/** Draws of a load run: seeded, so that the same seed makes the same users do the same things. */

/** Numbers in [0, 1). */
export type Fraction = () => number

/** sfc32: small, quick, and good enough for any simulation of this size. */
export function seededFraction(seed: number): Fraction {
  let [a, b, c, counter] = [seed | 0, Math.imul(seed, 0x9e3779b9) | 0, 0xdeadbeef | 0, 1]
  const next = () => {
    const sum = (a + b | 0) + counter | 0
    counter = counter + 1 | 0
    a = b ^ b >>> 9
    b = c + (c << 3) | 0
    c = (c << 21 | c >>> 11) + sum | 0
    return (sum >>> 0) / 4_294_967_296
  }
  for (let round = 0; round < 16; round++) next()
  return next
}

/** Exponential with this mean: the gaps of a Poisson process, and thinking of which nothing else is known. */
export const exponential = (fraction: Fraction, mean: number): number => -Math.log(1 - fraction()) * mean

const tables = new Map<string, Float64Array>()
const tablesMax = 64

/** A rank from 0 to count − 1; rank r comes up in proportion to 1 / (r + 1) ** exponent. */
export function zipfRank(fraction: Fraction, count: number, exponent: number): number {
  const table = tableOf(count, exponent)
  const wanted = fraction() * table[count - 1]!
  let [low, high] = [0, count - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (table[middle]! > wanted) high = middle
    else low = middle + 1
  }
  return low
}

function tableOf(count: number, exponent: number): Float64Array {
  const name = `${count} ${exponent}`
  const known = tables.get(name)
  if (known) return known
  const table = new Float64Array(count)
  let sum = 0
  for (let rank = 0; rank < count; rank++) table[rank] = sum += (rank + 1) ** -exponent
  if (tables.size === tablesMax) tables.clear()
  tables.set(name, table)
  return table
}

/** The index of a weight, in proportion to it. */
export function weightedIndex(fraction: Fraction, weights: readonly number[]): number {
  let left = fraction() * weights.reduce((sum, weight) => sum + weight, 0)
  const found = weights.findIndex(weight => (left -= weight) < 0)
  return found < 0 ? weights.findLastIndex(weight => weight > 0) : found
}
