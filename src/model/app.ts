/**
 * An application: its services, who its callers are, and how it words its errors.
 *
 * Terms: a *service* owns tables and declares *intents*. A *query* reads, a *command*
 * writes, an *event* is a fact, a *job* is later work, a *schedule* is a job with a cron
 * line, a *subscription* and a *projection* react to events. A *key* decides the *bucket*,
 * the bucket decides the *shard*. A *topology* says which *processes* run what, and with
 * which *drivers* behind the *ports*.
 *
 * Assembling names every intent after its export: `articles.publish`. Nothing is started.
 */
import type { TenfoldError } from '../base/errors.ts'
import type { Caller } from '../ports/transport.ts'
import type { Mountable } from './mount.ts'
import type { Command } from './command.ts'
import type { Declared } from './intent.ts'
import type { Query } from './query.ts'
import type { Service } from './service.ts'
import type { SessionOptions } from './session.ts'

/** A module that exports one service and its intents. */
export type ServiceModule = Readonly<Record<string, unknown>>
export type ServiceModules = Readonly<Record<string, ServiceModule>>

export interface RequestFacts {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly remoteAddress: string
}

export interface ErrorAnswer {
  readonly status: number
  readonly body: unknown
}

/** A folder, or a folder and which of its names never get another content (default: those with a hash before the ending). */
export type Assets = URL | { readonly folder: URL; readonly immutable?: RegExp }

export interface ApplicationOptions<Modules extends ServiceModules> {
  readonly services: Modules
  /**
   * Who calls: null when the request names nobody. Throw UNAUTHENTICATED for credentials that do not hold.
   */
  authenticate?(request: RequestFacts): Caller | null | Promise<Caller | null>
  /**
   * The request headers that `authenticate` looks at; it is given no others, and a request
   * without any of them has no caller. Default: authorization and cookie.
   */
  readonly credentials?: readonly string[]
  /** Callers may come with a session that a command of theirs has begun; who comes without one is asked by `authenticate`. */
  readonly sessions?: SessionOptions
  /** The application's own wording of errors. Default: RFC 9457 problem details. */
  errors?(error: TenfoldError): ErrorAnswer
  /** Existing applications, each served whole below its prefix; one at `/` gets what no intent answers. docs/adopting.md. */
  readonly mounts?: Readonly<Record<`/${string}`, Mountable>>
  /** Folders of static files, each served below its prefix, or at `/` where no intent answers: read once, at the start. */
  readonly assets?: Readonly<Record<`/${string}`, Assets>>
  readonly corsOrigins?: readonly string[]
  readonly title?: string
  readonly version?: string
}

export interface Application<Modules extends ServiceModules = ServiceModules> {
  readonly kind: 'application'
  readonly name: string
  readonly options: ApplicationOptions<Modules>
  readonly services: readonly Service[]
  readonly intents: ReadonlyMap<string, Declared>
  /** Faults in the declarations, found while assembling. */
  readonly faults: readonly string[]
}

const standardCredentials = ['authorization', 'cookie']

/** The headers that say who calls, in lower case. */
export function credentialsOf({ options }: Pick<Application, 'options'>): readonly string[] {
  const named = options.credentials?.map(one => one.toLowerCase()) ?? standardCredentials
  return options.sessions && !named.includes('cookie') ? [...named, 'cookie'] : named
}

/** The names of an application's services. */
export type ServiceName<App> = App extends Application<infer Modules> ? keyof Modules & string : never

export function application<const Modules extends ServiceModules>(name: string, options: ApplicationOptions<Modules>): Application<Modules> {
  const services: Service[] = []
  const intents = new Map<string, Declared>()
  const faults: string[] = []
  for (const [serviceName, module] of Object.entries(options.services)) {
    const found = Object.values(module).find(isService)
    if (!found) {
      faults.push(`services.${serviceName}: the module exports no service; export the value of service('${serviceName}', …)`)
      continue
    }
    if (found.name !== serviceName) faults.push(`${found.declaredAt}: service('${found.name}') is listed as '${serviceName}'; use one name`)
    services.push(found)
    nameIntents(found, module, intents, faults)
  }
  return { kind: 'application', name, options, services, intents, faults }
}

function nameIntents(service: Service, module: ServiceModule, intents: Map<string, Declared>, faults: string[]): void {
  for (const [exported, value] of Object.entries(module)) {
    if (!isDeclared(value)) continue
    if (value.service !== service) {
      if (value.kind !== 'event') faults.push(`${value.declaredAt}: '${exported}' belongs to service '${value.service.name}' but is exported by '${service.name}'`)
      continue
    }
    const name = `${service.name}.${exported}`
    if (value.name && value.name !== name) {
      faults.push(`${value.declaredAt}: exported twice, as '${value.name}' and '${name}'; export it once`)
      continue
    }
    value.name = name
    intents.set(name, value)
  }
  for (const one of service.declared) {
    if (!one.name) faults.push(`${one.declaredAt}: a ${one.kind} of '${service.name}' is not exported by the service's module; export it to give it a name`)
  }
}

function isService(value: unknown): value is Service {
  return typeof value === 'object' && value !== null && (value as Service).kind === 'service' && typeof (value as Service).query === 'function'
}

const kinds = new Set<string>(['query', 'command', 'event', 'job', 'subscription', 'projection'])

function isDeclared(value: unknown): value is Declared {
  return typeof value === 'object' && value !== null && kinds.has((value as Declared).kind) && isService((value as Declared).service)
}

/** The callable intents of an application, as `client.articles.publish(input)` sees them. */
export type Callable<App> = App extends Application<infer Modules>
  ? { readonly [S in keyof Modules]: { readonly [N in keyof Modules[S] as Modules[S][N] extends Query | Command ? N : never]:
    Modules[S][N] extends Query<infer I, infer O> | Command<infer I, infer O> ? (input: I) => Promise<O> : never } }
  : never
