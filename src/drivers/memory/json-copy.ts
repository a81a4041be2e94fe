/** Copies JSON values, and refuses what JSON cannot carry, so that a call in process hides nothing that a call over the network would. */

/** Deeper than any value that is meant, and far from the end of the stack: what gets there mostly contains itself. */
const depthMax = 512

/** Thrown for a value that JSON cannot carry; whose fault that is, the caller knows. */
export class UnfitValue extends Error {
  constructor(path: string, what: string) {
    super(`${path.length > 200 ? `${path.slice(0, 200)}…` : path} is ${what}, which JSON cannot carry; send a text or a number`)
  }
}

/** Where a value lies, as text only when somebody must be told. */
interface Place { readonly within: Place | null; readonly key: string | number }

const textOf = ({ within, key }: Place): string => within === null ? String(key) : `${textOf(within)}${typeof key === 'number' ? `[${key}]` : `.${key}`}`

export const jsonCopy = (value: unknown, path: string): unknown => copied(value, null, path, 0)

function copied(value: unknown, within: Place | null, key: string | number, depth: number): unknown {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return value
  const unfit = (what: string) => new UnfitValue(textOf({ within, key }), what)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw unfit(String(value))
    return value
  }
  if (typeof value !== 'object') throw unfit(`a ${typeof value}`)
  if (depth > depthMax) throw unfit(`nested deeper than ${depthMax} levels or contains itself`)
  const here: Place = { within, key }
  if (Array.isArray(value)) return value.map((one, index) => one === undefined ? null : copied(one, here, index, depth + 1))
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== null) throw unfit(`a ${(value as object).constructor?.name ?? 'object'}`)
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(value)) {
    const one = (value as Record<string, unknown>)[name]
    if (one === undefined) continue
    const copiedOne = copied(one, here, name, depth + 1)
    // Assigning this name would set the prototype of the copy instead.
    if (name === '__proto__') Object.defineProperty(copy, name, { value: copiedOne, enumerable: true, configurable: true, writable: true })
    else copy[name] = copiedOne
  }
  return copy
}
