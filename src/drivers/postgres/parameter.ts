/** How a value is written as the text of a parameter: as pg does, with lists, which carry whole batches, in a third of the time. */
import { createRequire } from 'node:module'

/** pg exports this, and its types leave it out. */
const { prepareValue } = createRequire(import.meta.url)('pg/lib/utils.js') as { readonly prepareValue: (value: unknown) => string | Buffer | null }

/** Throws for what has no text, such as an object that holds itself. */
export const parameterOf = (value: unknown): string | Buffer | null => Array.isArray(value) ? arrayText(value) ?? prepareValue(value) : prepareValue(value)

const escaped = /["\\]/
/** What JSON writes otherwise than a list of Postgres. */
const special = /[\u0000-\u001f\ud800-\udfff]/

/** Null where an element is more than a text or a number. */
function arrayText(list: readonly unknown[]): string | null {
  let text = ''
  for (const item of list) {
    if (text !== '') text += ','
    if (typeof item === 'string') text += quoted(item)
    else if (typeof item === 'number' || typeof item === 'boolean') text += String(item)
    else if (item === null || item === undefined) text += 'NULL'
    else return null
  }
  return `{${text}}`
}

function quoted(item: string): string {
  if (!escaped.test(item)) return `"${item}"`
  return special.test(item) ? `"${item.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : JSON.stringify(item)
}
