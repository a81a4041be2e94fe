/** The `limit` of a list at the admin port: how many entries, at most. */
import { fault } from '../base/errors.ts'

export interface LimitBounds { readonly standard: number; readonly min: number; readonly max: number }

/** What is beyond the bounds gets the nearest; what is no whole number is refused. */
export function limitOf(query: URLSearchParams, { standard, min, max }: LimitBounds): number {
  const given = query.get('limit')
  if (given === null || given === '') return standard
  if (!/^\d+$/.test(given)) throw fault('BAD_REQUEST', `limit is '${given}'; write a whole number from ${min} to ${max}`)
  return Math.min(max, Math.max(min, Number(given)))
}
