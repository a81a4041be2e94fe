/**
 * How load changes over time, as segments in which it goes in a straight line, and the moments
 * of arrival that follow from it. After the last segment its end holds on.
 */
import { fault } from '../base/errors.ts'

export interface Segment {
  readonly durationMs: number
  /** Per second at its begin and at its end; or users. */
  readonly from: number
  readonly to: number
}

export type Profile = readonly Segment[]

export const constantProfile = (value: number): Profile => [{ durationMs: 1_000, from: value, to: value }]

/** The value at a moment. */
export function valueAt(profile: Profile, atMs: number): number {
  let startMs = 0
  for (const { durationMs, from, to } of profile) {
    if (atMs < startMs + durationMs) return from + (to - from) * (atMs - startMs) / durationMs
    startMs += durationMs
  }
  return profile.at(-1)?.to ?? 0
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `1.5m`, `250ms`; a bare number is seconds. */
export function parseDuration(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text)
  if (!match || Number(match[1]) === 0 && option !== '--warmup' && option !== '--from') throw fault('USAGE', `${option} is '${text}'; write a time like 30s, 1.5m or 500ms`)
  return Number(match[1]) * units[match[2] ?? 's']!
}

/** `50`, or `10..200/60s`: from 10 to 200 in a minute, then on at 200. */
export function parseProfile(text: string, option: string): Profile {
  const match = /^(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?)\/(.+))?$/.exec(text)
  if (!match || option === '--ramp' && match[3] === undefined) throw fault('USAGE', `${option} is '${text}'; write ${option === '--ramp' ? '' : 'a number, or '}a ramp like 10..200/60s`)
  const from = Number(match[1])
  if (match[3] === undefined) {
    if (from === 0) throw fault('USAGE', `${option} is 0; nothing would be sent`)
    return constantProfile(from)
  }
  const to = Number(match[2])
  if (from === 0 && to === 0) throw fault('USAGE', `${option} is '${text}'; nothing would be sent`)
  return [{ durationMs: parseDuration(match[3], option), from, to }]
}

/**
 * The moments at which something arrives. The rate is integrated: after each gap (1 for a
 * constant stream, a draw with mean 1 for a Poisson stream) comes the next, so both follow a
 * changing rate exactly.
 */
export class Arrivals {
  readonly #profile: Profile
  #at = 0
  #segmentStartMs = 0
  #nowMs: number

  constructor(profile: Profile, startMs = 0) {
    this.#profile = profile
    this.#nowMs = startMs
  }

  /** The moment at which `gap` more have arrived, or null when the rate stays 0. */
  next(gap: number): number | null {
    let left = gap
    for (; this.#at < this.#profile.length; this.#at++) {
      const { durationMs, from, to } = this.#profile[this.#at]!
      const endMs = this.#segmentStartMs + durationMs
      const restMs = endMs - this.#nowMs
      if (restMs > 0) {
        const slope = (to - from) / durationMs / 1_000
        const rate = from / 1_000 + slope * (this.#nowMs - this.#segmentStartMs)
        const area = rate * restMs + slope * restMs ** 2 / 2
        if (area >= left) return this.#nowMs += 2 * left / (rate + Math.sqrt(Math.max(0, rate ** 2 + 2 * slope * left)))
        left -= area
        this.#nowMs = endMs
      }
      this.#segmentStartMs = endMs
    }
    const rate = (this.#profile.at(-1)?.to ?? 0) / 1_000
    return rate === 0 ? null : this.#nowMs += left / rate
  }
}
