/**
 * What the five kinds of intent have in common. An intent is an ordinary value: it gets
 * its name (`articles.publish`) when the application is assembled, from the name under
 * which its service's module exports it.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Caller, Priority } from '../ports/transport.ts'
import type { Rate } from './rate.ts'
import type { Service } from './service.ts'
import type { Slo } from './slo.ts'

export type Schema<Input = unknown, Output = Input> = StandardSchemaV1<Input, Output>
export type Parsed<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : never
export type Accepted<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : never

export type Kind = 'query' | 'command' | 'event' | 'job' | 'subscription' | 'projection'

/** Who may call: nobody need say who they are, they may, or they must. */
export type Auth = 'none' | 'optional' | 'required'
export type UserOf<A extends Auth> = A extends 'required' ? Caller : A extends 'optional' ? Caller | null : null

/** A key that already knows its bucket: made from an id or a handle. */
export interface RoutedKey { readonly key: string; readonly bucket: number }
export type Key = string | RoutedKey

export interface Declared<K extends Kind = Kind> {
  readonly kind: K
  readonly service: Service
  /** The file and line of the declaration, for messages. */
  readonly declaredAt: string
  /** Set by `application`; empty until then. */
  name: string
}

/** Policy that every callable intent may state; numbers only, the runtime knows the order. */
export interface Policy {
  /** How long a call may take, in milliseconds. */
  readonly deadlineMs?: number
  /** Who is refused last when there is too much work. Default normal. */
  readonly priority?: Priority
  /** What one call costs in units of a plain read. Default 1. */
  readonly cost?: number
  /** How often it may be called over HTTP. Default: as often as the limiter lets pass. */
  readonly rate?: Rate
  /** How much of what is asked must end well, and in time; alerts are made from it. Default: no objective. */
  readonly slo?: Slo
}

export type HttpRoute = `${'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'} /${string}`

const ownFolder = new URL('.', import.meta.url).href

/** Where in the application's source a builder was called: the first frame outside of this package's model. */
export function callSite(): string {
  const frames = (new Error().stack ?? '').split('\n').slice(2)
  const frame = frames.find(line => !line.includes(ownFolder)) ?? ''
  return /(?:file:\/\/)?(\/[^)\s]+:\d+):\d+/.exec(frame)?.[1] ?? 'unknown place'
}
