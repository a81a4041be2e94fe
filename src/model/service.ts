/**
 * A service: a name, its migrations, and the builders of its intents.
 *
 *   export const articles = service('articles', { migrations: new URL('./migrations/', import.meta.url) }).tables<Tables>()
 *   export const tags = articles.query({ … })
 */
import type { Command, CommandDefinition } from './command.ts'
import type { Event, SubscriptionDefinition, Subscription } from './event.ts'
import { callSite } from './intent.ts'
import type { Accepted, Auth, Declared, Kind, Parsed, Schema } from './intent.ts'
import type { Job, JobDefinition } from './job.ts'
import type { Projection, ProjectionDefinition } from './projection.ts'
import type { Query, QueryDefinition } from './query.ts'
import { commandOf } from './upload.ts'
import type { NoInput, Upload, UploadDefinition } from './upload.ts'

export interface ServiceOptions {
  /** Folder of numbered SQL files: `0001-articles.sql`, … */
  readonly migrations?: URL
  /** Tables without a bucket: small, and the same on every shard. */
  readonly reference?: readonly string[]
}

export interface Service<Tables = unknown> {
  readonly kind: 'service'
  readonly name: string
  readonly options: ServiceOptions
  readonly declaredAt: string
  /** Every intent declared so far, exported or not. */
  readonly declared: readonly Declared[]
  /** The same service, knowing the types of its tables. */
  tables<T>(): Service<T>
  query<I extends Schema, O extends Schema, A extends Auth = 'none'>(definition: QueryDefinition<Tables, I, O, A>): Query<Accepted<I>, Parsed<O>>
  command<I extends Schema, O extends Schema, A extends Auth = 'none'>(definition: CommandDefinition<Tables, I, O, A>): Command<Accepted<I>, Parsed<O>>
  /** A command whose body is a file: a typed client gives it a Blob, a call in process an upload that is stored already. */
  upload<O extends Schema, I extends Schema = NoInput, A extends Auth = 'none'>(definition: UploadDefinition<Tables, I, O, A>): Command<Accepted<I> & { readonly upload: Upload | Blob }, Parsed<O>>
  event<S extends Schema>(schema: S): Event<Parsed<S>>
  job<I extends Schema>(definition: JobDefinition<Tables, I>): Job<Accepted<I>>
  /** Reacts to one event, in a transaction of its own. */
  subscribe<E extends Event>(definition: SubscriptionDefinition<Tables, E>): Subscription
  projection<E extends Event>(definition: ProjectionDefinition<Tables, E>): Projection
}

export function service(name: string, options: ServiceOptions = {}): Service {
  const declared: Declared[] = []
  const declare = <K extends Kind, Rest extends object>(kind: K, rest: Rest): Declared<K> & Rest => {
    const intent = { kind, service: self, declaredAt: callSite(), name: '', ...rest }
    declared.push(intent)
    return intent
  }
  const self: Service = {
    kind: 'service',
    name,
    options,
    declaredAt: callSite(),
    declared,
    // The types of the tables exist for the compiler only: the value stays the same.
    tables: <T>() => self as unknown as Service<T>,
    query: definition => declare('query', { definition: definition as Query['definition'] }),
    command: definition => declare('command', { definition: definition as Command['definition'] }),
    upload: definition => declare('command', { definition: commandOf(definition as unknown as Parameters<typeof commandOf>[0]) }),
    event: schema => declare('event', { schema }),
    job: definition => declare('job', { definition: definition as Job['definition'] }),
    subscribe: definition => declare('subscription', { definition: definition as Subscription['definition'] }),
    projection: definition => declare('projection', { definition: definition as Projection['definition'] }),
  }
  return self
}
