/**
 * The manifest: everything an application declares, as plain data, obtained by importing
 * it. Routes, OpenAPI, client, checks and plans come from here. `checkApplication` lists
 * what is declared wrongly, each with its place and its mend.
 */
import { fault } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Method } from '../ports/ingress.ts'
import type { Application } from './app.ts'
import type { Command } from './command.ts'
import type { Event, Subscription } from './event.ts'
import { freshnessFaults } from './freshness.ts'
import type { Freshness } from './freshness.ts'
import type { Auth, Declared, HttpRoute, Kind, Schema } from './intent.ts'
import type { Job } from './job.ts'
import type { Projection } from './projection.ts'
import type { Query } from './query.ts'
import { rateFaults } from './rate.ts'
import { sessionChangeFaults, sessionFaults } from './session.ts'
import { objectivesOf, sloFaults } from './slo.ts'
import type { Objectives } from './slo.ts'

export interface ManifestIntent {
  readonly name: string
  readonly kind: Kind
  readonly service: string
  readonly http?: { readonly method: Method; readonly path: string }
  readonly auth?: Auth
  readonly status?: number
  readonly deadlineMs?: number
  readonly freshness?: Freshness
  /** Its objectives, with what is standard filled in. */
  readonly slo?: Objectives
  readonly cron?: string
  /** The events a subscription or projection reacts to. */
  readonly on?: readonly string[]
  readonly declaredAt: string
}

export interface Manifest {
  readonly application: string
  readonly services: readonly string[]
  readonly intents: readonly ManifestIntent[]
}

export function parseRoute(route: HttpRoute): { method: Method; path: string } {
  const [method, path] = route.split(' ') as [Method, string]
  return { method, path }
}

export function manifestOf(app: Application): Manifest {
  return {
    application: app.name,
    services: app.services.map(one => one.name),
    intents: [...app.intents.values()].map(describe),
  }
}

function describe(intent: Declared): ManifestIntent {
  const base = { name: intent.name, kind: intent.kind, service: intent.service.name, declaredAt: intent.declaredAt }
  if (intent.kind === 'query' || intent.kind === 'command') {
    const { http, auth = 'none', status = 200, slo } = (intent as Query | Command).definition
    const { freshness } = (intent as Query).definition
    return { ...base, auth, status, deadlineMs: deadlineMsOf(intent as Query | Command), ...(freshness ? { freshness } : {}), ...(slo ? { slo: objectivesOf(slo) } : {}), ...(http ? { http: parseRoute(http) } : {}) }
  }
  if (intent.kind === 'job') {
    const { cron, deadlineMs = limits.jobDeadlineMs } = (intent as Job).definition
    return { ...base, deadlineMs, ...(cron ? { cron } : {}) }
  }
  if (intent.kind === 'subscription') return { ...base, on: [(intent as Subscription).definition.on.name] }
  if (intent.kind === 'projection') return { ...base, on: (intent as Projection).definition.on.map(event => event.name) }
  return base
}

const deadlineMsOf = ({ kind, definition }: Query | Command): number =>
  definition.deadlineMs ?? (kind === 'query' ? limits.queryDeadlineMs : limits.commandDeadlineMs)

/** Everything declared wrongly; empty when all is well. */
export function checkApplication(app: Application): string[] {
  return [...app.faults, ...app.options.sessions ? sessionFaults(app.options.sessions) : [], ...routeFaults(app), ...prefixFaults(app), ...[...app.intents.values()].flatMap(intent => intentFaults(app, intent))]
}

/** Throws DECLARATION_FAULT with every fault when there is one. */
export function assertApplication(app: Application): void {
  const faults = checkApplication(app)
  if (faults.length > 0) throw fault('DECLARATION_FAULT', `the application '${app.name}' is declared wrongly:\n  - ${faults.join('\n  - ')}`)
}

function routeFaults(app: Application): string[] {
  const seen = new Map<string, Declared>()
  const faults: string[] = []
  for (const intent of app.intents.values()) {
    if (intent.kind !== 'query' && intent.kind !== 'command') continue
    const { http } = (intent as Query | Command).definition
    if (!http) continue
    const shape = http.replace(/:[^/]+/g, ':')
    const other = seen.get(shape)
    if (other) faults.push(`${intent.declaredAt}: ${intent.name} and ${other.name} (${other.declaredAt}) both answer '${http}'; change one route`)
    seen.set(shape, intent)
    if (!/^(GET|POST|PUT|PATCH|DELETE) \/\S*$/.test(http)) faults.push(`${intent.declaredAt}: ${intent.name}: '${http}' is not a route; write 'GET /path/:parameter'`)
    if (intent.kind === 'command' && http.startsWith('GET ')) faults.push(`${intent.declaredAt}: ${intent.name} is a command behind GET, which clients may repeat; use POST, PUT, PATCH or DELETE`)
    for (const prefix of prefixesOf(app).filter(one => one !== '')) {
      const path = http.slice(http.indexOf(' ') + 1)
      if (path === prefix || path.startsWith(`${prefix}/`)) faults.push(`${intent.declaredAt}: ${intent.name} lies below '${prefix}', where a mount, static files or blobs are served; move one of them`)
    }
  }
  return faults
}

/** Where something else than intents answers, without a slash at the end; at '' it gets what no intent does. */
function prefixesOf(app: Application): string[] {
  const { mounts = {}, assets = {} } = app.options
  return [...Object.keys(mounts), ...Object.keys(assets), ...(acceptsUploads(app) ? [blobsPrefix] : [])].map(prefix => prefix.replace(/\/$/, ''))
}

function prefixFaults(app: Application): string[] {
  const all = prefixesOf(app)
  return [...new Set(all.filter((prefix, index) => all.indexOf(prefix) !== index))].map(prefix => `two mounts, static files or blobs are served at '${prefix || '/'}'; move one of them`)
}

export const blobsPrefix = '/blobs'

export const acceptsUploads = (app: Application): boolean =>
  [...app.intents.values()].some(intent => intent.kind === 'command' && (intent as Command).definition.accepts !== undefined)

function intentFaults(app: Application, intent: Declared): string[] {
  const at = `${intent.declaredAt}: ${intent.name}`
  const faults: string[] = []
  if (intent.kind === 'command' && typeof (intent as Command).definition.key !== 'function') {
    faults.push(`${at}: a command needs a key; add key: input => …, the thing whose rows it writes`)
  }
  if (intent.kind === 'query') {
    const { key, scatter } = (intent as Query).definition
    if (!key && !scatter) faults.push(`${at}: a query needs a key or 'scatter: true'; say which rows it reads`)
    if (key && scatter) faults.push(`${at}: a query has a key or is scatter, not both; take one out`)
  }
  for (const projection of (intent as Partial<Query | Command>).definition?.reads ?? []) {
    if (projection.service !== intent.service) faults.push(`${at}: reads a projection of '${projection.service.name}'; a service reads its own tables only (I6): call a query of that service`)
  }
  if (intent.kind === 'query') faults.push(...cachingFaults(intent as Query).map(one => `${at}: ${one}`))
  if (intent.kind === 'query' || intent.kind === 'command') {
    const { auth, http, input, output, rate, slo } = (intent as Query | Command).definition
    if (slo) faults.push(...sloFaults(slo, deadlineMsOf(intent as Query | Command)).map(one => `${at}: ${one}`))
    if (rate) faults.push(...[...rateFaults(rate), ...http ? [] : ['has a rate but no route; calls over HTTP are what it counts: add http, or take the rate out']].map(one => `${at}: ${one}`))
    if (auth && auth !== 'none' && !app.options.authenticate && !app.options.sessions) faults.push(`${at}: auth is '${auth}' but the application has no authenticate and no sessions; add one of them to application()`)
    const { session } = (intent as Command).definition
    if (session) faults.push(...sessionChangeFaults(session, { hasSessions: app.options.sessions !== undefined }, http !== undefined).map(one => `${at}: ${one}`))
    if (http) for (const [label, schema] of [['input', input], ['output', output]] as const) if (!isSchema(schema)) faults.push(`${at}: ${label} is not a Standard Schema; use for instance z.object({…})`)
  }
  const events = intent.kind === 'subscription' ? [(intent as Subscription).definition.on] : intent.kind === 'projection' ? (intent as Projection).definition.on : []
  for (const event of events) if (!knows(app, event)) faults.push(`${at}: reacts to an event that no service of this application exports${event?.declaredAt ? ` (${event.declaredAt})` : ''}; list its service in application()`)
  return faults
}

function cachingFaults({ definition: { freshness, tags, auth, http } }: Query): string[] {
  if (!freshness) return tags ? ['has tags and no freshness; say how long an answer stays fresh, or take the tags out'] : []
  const faults = freshnessFaults(freshness)
  if (freshness.audience === 'public' && auth === 'required') faults.push("its audience is 'public' and its auth 'required'; an answer to a caller is never public: make one of them fit the other")
  if (http && !http.startsWith('GET ')) faults.push(`has a freshness behind '${http}'; only GET is cached over HTTP`)
  return faults
}

function knows(app: Application, event: Event | undefined): boolean {
  return event !== undefined && event.name !== '' && app.intents.get(event.name) === event
}

function isSchema(value: unknown): value is Schema {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value
}
