/** OpenAPI 3.1 from the manifest; schemas come through Standard JSON Schema where the validator offers it. */
import type { Application } from './app.ts'
import type { Command } from './command.ts'
import type { Schema } from './intent.ts'
import { parseRoute } from './manifest.ts'
import type { Query } from './query.ts'
import type { Acceptance } from './upload.ts'

export type Json = Record<string, unknown>

interface WithJsonSchema {
  readonly jsonSchema?: { input(options: { target: string }): Json; output(options: { target: string }): Json }
}

export interface OpenApi extends Json {
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>
}

export function openApiOf(app: Application): OpenApi {
  const paths: Record<string, Record<string, Json>> = {}
  for (const intent of app.intents.values()) {
    if (intent.kind !== 'query' && intent.kind !== 'command') continue
    const { definition } = intent as Query | Command
    if (!definition.http) continue
    const { method, path } = parseRoute(definition.http)
    const url = path.replace(/:([^/]+)/g, '{$1}')
    ;(paths[url] ??= {})[method.toLowerCase()] = operationOf(intent as Query | Command, path)
  }
  return {
    openapi: '3.1.0',
    info: { title: app.options.title ?? app.name, version: app.options.version ?? '0.0.0' },
    paths,
    components: { securitySchemes: { caller: { type: 'apiKey', in: 'header', name: 'Authorization' } } },
  }
}

function operationOf(intent: Query | Command, path: string): Json {
  const { definition } = intent
  const { status = 200, auth = 'none' } = definition
  const input = jsonSchemaOf(definition.input, 'input')
  const properties = (input?.properties ?? {}) as Record<string, Json>
  const required = (input?.required ?? []) as string[]
  const inPath = [...path.matchAll(/:([^/]+)/g)].map(match => match[1]!)
  const rest = Object.keys(properties).filter(name => !inPath.includes(name))
  const isQuery = intent.kind === 'query'
  const accepts = isQuery ? undefined : (intent as Command).definition.accepts
  const parameters = [
    ...inPath.map(name => ({ name, in: 'path', required: true, schema: properties[name] ?? { type: 'string' } })),
    ...(isQuery || accepts ? rest : []).map(name => ({ name, in: 'query', required: required.includes(name), schema: properties[name] })),
    ...(isQuery ? [] : [{ name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string' } }]),
  ]
  const anything = { requestBody: { required: false, content: { 'application/json': { schema: {} } } } }
  const body = accepts ? uploadBody(accepts) : isQuery ? {} : input === undefined ? anything : rest.length === 0 ? {} : {
    requestBody: { required: rest.some(name => required.includes(name)), content: { 'application/json': {
      schema: { ...input, properties: Object.fromEntries(rest.map(name => [name, properties[name]])), required: required.filter(name => rest.includes(name)) } } } },
  }
  const output = status === 204 ? undefined : jsonSchemaOf(definition.output, 'output') ?? {}
  return {
    operationId: intent.name, tags: [intent.service.name],
    ...(definition.summary ? { summary: definition.summary } : {}),
    parameters, ...body,
    responses: {
      [status]: { description: 'Success', ...(output ? { content: { 'application/json': { schema: output } } } : {}) },
      default: { description: 'A refusal; see its body' },
    },
    ...(auth === 'none' ? {} : { security: auth === 'required' ? [{ caller: [] }] : [{}, { caller: [] }] }),
  }
}

function uploadBody({ types, bytesMax }: Acceptance): Json {
  const schema = { type: 'string', format: 'binary', maxLength: bytesMax }
  return { requestBody: { required: true, content: Object.fromEntries(types.map(type => [type, { schema }])) } }
}

/** Undefined where the validator offers none, or JSON Schema cannot express it (a transform, say): documented as anything. */
export function jsonSchemaOf(schema: Schema, side: 'input' | 'output'): Json | undefined {
  const { jsonSchema } = schema['~standard'] as unknown as WithJsonSchema
  if (!jsonSchema) return undefined
  try {
    const { $schema: _, ...rest } = jsonSchema[side]({ target: 'draft-2020-12' })
    return rest
  } catch {
    return undefined
  }
}
