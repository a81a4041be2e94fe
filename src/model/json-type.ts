/**
 * TypeScript types from JSON Schema, as text. What a type cannot say (lengths, patterns,
 * limits) is left out; a schema it does not know is `unknown`.
 */
import type { Json } from './openapi.ts'

/** How the names of one schema are written: `#` is the schema itself, `#/$defs/X` a part of it. */
export type NameOf = (reference: string) => string

export function jsonTypeOf(schema: unknown, nameOf: NameOf): string {
  if (typeof schema !== 'object' || schema === null) return schema === false ? 'never' : 'unknown'
  const { $ref, const: constant, enum: values, allOf, anyOf, oneOf, type } = schema as Json
  if (typeof $ref === 'string') return nameOf($ref)
  if (constant !== undefined) return literal(constant)
  if (Array.isArray(values)) return union(values.map(literal))
  if (Array.isArray(anyOf ?? oneOf)) return union(((anyOf ?? oneOf) as unknown[]).map(one => jsonTypeOf(one, nameOf)))
  if (Array.isArray(allOf)) return allOf.map(one => bracketed(jsonTypeOf(one, nameOf))).join(' & ') || 'unknown'
  if (Array.isArray(type)) return union(type.map(one => jsonTypeOf({ ...schema, type: one as unknown }, nameOf)))
  return simple(schema as Json, nameOf)
}

function simple(schema: Json, nameOf: NameOf): string {
  switch (schema.type) {
    case 'string': case 'boolean': case 'null': return schema.type
    case 'number': case 'integer': return 'number'
    case 'array': return arrayType(schema, nameOf)
    case 'object': return objectType(schema, nameOf)
    default: return 'properties' in schema ? objectType(schema, nameOf) : 'unknown'
  }
}

function arrayType({ items, prefixItems }: Json, nameOf: NameOf): string {
  if (!Array.isArray(prefixItems)) return `${bracketed(jsonTypeOf(items ?? true, nameOf))}[]`
  const first = prefixItems.map(one => jsonTypeOf(one, nameOf))
  return `[${[...first, ...(typeof items === 'object' ? [`...${bracketed(jsonTypeOf(items, nameOf))}[]`] : [])].join(', ')}]`
}

function objectType({ properties = {}, required = [], additionalProperties }: Json, nameOf: NameOf): string {
  const fields = Object.entries(properties as Json).map(([name, schema]) =>
    `${propertyName(name)}${(required as string[]).includes(name) ? '' : '?'}: ${jsonTypeOf(schema, nameOf)}`)
  if (fields.length === 0) {
    if (additionalProperties === false) return 'Record<string, never>'
    return `Record<string, ${jsonTypeOf(additionalProperties ?? true, nameOf)}>`
  }
  // Beside named fields an index must admit their types too.
  if (typeof additionalProperties === 'object') fields.push('[name: string]: unknown')
  return `{ ${fields.join('; ')} }`
}

/** A name as it may stand before a colon or behind a dot in brackets. */
export const propertyName = (name: string): string => /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
const literal = (value: unknown): string => typeof value === 'object' && value !== null ? 'unknown' : JSON.stringify(value)
const union = (types: readonly string[]): string => [...new Set(types)].join(' | ') || 'never'
const bracketed = (type: string): string => isCompound(type) ? `(${type})` : type

/** True when a | or & stands outside of all brackets and texts. */
function isCompound(type: string): boolean {
  let depth = 0
  for (const [token] of type.matchAll(/"(?:[^"\\]|\\.)*"|[{([<|&>\])}]/g)) {
    if ('{([<'.includes(token)) depth++
    else if ('>])}'.includes(token)) depth--
    else if (depth === 0 && !token.startsWith('"')) return true
  }
  return false
}
