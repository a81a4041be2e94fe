/** The only door to randomness, so that the simulator can seed it. */
import { randomFillSync } from 'node:crypto'

export interface Random {
  /** A number in [0, 1). */
  fraction(): number
  /** Fills and returns the buffer. */
  fill(buffer: Buffer): Buffer
}

export const systemRandom: Random = {
  fraction: () => Math.random(),
  fill: buffer => randomFillSync(buffer),
}

let current: Random = systemRandom

/** Small draws come from here: one system call fills it for hundreds of them. */
const pool = Buffer.alloc(8_192)
let used = pool.length

/** Replaces the source of this process; returns the function that puts the old one back. */
export function installRandom(random: Random): () => void {
  const before = current
  const use = (next: Random) => {
    current = next
    used = pool.length
  }
  use(random)
  return () => use(before)
}

export const randomFraction = (): number => current.fraction()
export const randomBytes = (size: number): Buffer => current.fill(Buffer.alloc(size))
export const randomFill = (buffer: Buffer): Buffer => current.fill(buffer)

/** A few random bytes; a view that must be used at once. */
export function randomPooled(size: number): Buffer {
  const from = draw(size)
  return pool.subarray(from, from + size)
}

/** A lower-case hexadecimal text of a few random bytes. */
export function randomHex(size: number): string {
  const from = draw(size)
  return pool.toString('hex', from, from + size)
}

function draw(size: number): number {
  if (used + size > pool.length) {
    current.fill(pool)
    used = 0
  }
  used += size
  return used - size
}
