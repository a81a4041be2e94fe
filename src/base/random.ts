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

/** Replaces the source of this process; returns the function that puts the old one back. */
export function installRandom(random: Random): () => void {
  const before = current
  current = random
  return () => { current = before }
}

export const randomFraction = (): number => current.fraction()
export const randomBytes = (size: number): Buffer => current.fill(Buffer.alloc(size))
export const randomFill = (buffer: Buffer): Buffer => current.fill(buffer)
/** A lower-case hexadecimal text of `bytes` random bytes. */
export const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex')
