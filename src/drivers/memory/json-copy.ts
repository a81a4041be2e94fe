/** Copies JSON values, and refuses what JSON cannot carry, so that a call in process hides nothing that a call over the network would. */
import { fault } from '../../base/errors.ts'

export function jsonCopy(value: unknown, path = 'value'): unknown {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw unfit(path, String(value))
    return value
  }
  if (Array.isArray(value)) return value.map((one, index) => one === undefined ? null : jsonCopy(one, `${path}[${index}]`))
  if (typeof value !== 'object') throw unfit(path, typeof value)
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== null) throw unfit(path, (value as object).constructor?.name ?? 'object')
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const one = (value as Record<string, unknown>)[key]
    if (one === undefined) continue
    const copied = jsonCopy(one, `${path}.${key}`)
    // Assigning this name would set the prototype of the copy instead.
    if (key === '__proto__') Object.defineProperty(copy, key, { value: copied, enumerable: true, configurable: true, writable: true })
    else copy[key] = copied
  }
  return copy
}

const unfit = (path: string, what: string) => fault('INVALID_INPUT', `${path} is a ${what}, which JSON cannot carry; send a text or a number`)
