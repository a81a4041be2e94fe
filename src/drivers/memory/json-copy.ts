/** Copies JSON values, and refuses what JSON cannot carry, so that a call in process hides nothing that a call over the network would. */

/** Deeper than any value that is meant, and far from the end of the stack: what gets there mostly contains itself. */
const depthMax = 512

/** Thrown for a value that JSON cannot carry; whose fault that is, the caller knows. */
export class UnfitValue extends Error {
  constructor(path: string, what: string) {
    super(`${path.length > 200 ? `${path.slice(0, 200)}…` : path} is ${what}, which JSON cannot carry; send a text or a number`)
  }
}

export function jsonCopy(value: unknown, path: string, depth = 0): unknown {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new UnfitValue(path, String(value))
    return value
  }
  if (typeof value !== 'object') throw new UnfitValue(path, `a ${typeof value}`)
  if (depth > depthMax) throw new UnfitValue(path, `nested deeper than ${depthMax} levels or contains itself`)
  if (Array.isArray(value)) return value.map((one, index) => one === undefined ? null : jsonCopy(one, `${path}[${index}]`, depth + 1))
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== null) throw new UnfitValue(path, `a ${(value as object).constructor?.name ?? 'object'}`)
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const one = (value as Record<string, unknown>)[key]
    if (one === undefined) continue
    const copied = jsonCopy(one, `${path}.${key}`, depth + 1)
    // Assigning this name would set the prototype of the copy instead.
    if (key === '__proto__') Object.defineProperty(copy, key, { value: copied, enumerable: true, configurable: true, writable: true })
    else copy[key] = copied
  }
  return copy
}
