/**
 * From HTTP to intents and back: the routes of the manifest, the input of a call put
 * together from path, query and body, the session's token, and the answer's headers.
 */
import { fault } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { randomHex } from '../base/random.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import { parseRoute } from '../model/manifest.ts'
import type { Query } from '../model/query.ts'
import type { Acceptance } from '../model/upload.ts'
import type { HttpAnswer, HttpRequest, IngressHandler, Route } from '../ports/ingress.ts'
import type { Caller, Priority } from '../ports/transport.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Limiter, Ticket } from './limiter.ts'
import { asTenfoldError, errorAnswer } from './problem.ts'
import { traceIdOf, traceparentFrom } from './trace.ts'
import type { Uploads } from './upload.ts'

export interface RouterOptions {
  readonly app: Application
  readonly dispatcher: Dispatcher
  readonly limiter: Limiter
  readonly log: Logger
  /** Null when no command accepts files. */
  readonly uploads: Uploads | null
  /** Pages served beside the intents: OpenAPI and its reader, health. */
  readonly pages: ReadonlyMap<string, () => HttpAnswer>
  isDraining(): boolean
}

interface Target {
  readonly intent: Query | Command
  readonly isCommand: boolean
  readonly status: number
  readonly timeoutMs: number
  readonly priority: Priority
  readonly cost: number
  readonly authenticates: boolean
  readonly accepts: Acceptance | undefined
}

type Headers = HttpRequest['headers']

export function routesOf(app: Application): Route[] {
  const routes: Route[] = []
  for (const intent of app.intents.values()) {
    if (intent.kind !== 'query' && intent.kind !== 'command') continue
    const { http } = (intent as Query | Command).definition
    const { accepts } = (intent as Command).definition
    if (http) routes.push({ ...parseRoute(http), bodyBytesMax: accepts?.bytesMax ?? limits.bodyBytesMax, name: intent.name, ...(accepts ? { body: 'stream' } : {}) })
  }
  return routes
}

export function createRouter(options: RouterOptions): IngressHandler {
  const { app, limiter } = options
  const targets = targetsOf(app)
  // Tickets of one route are alike: any of them may be given back, oldest first.
  const tickets = new Map<string, Ticket[]>([...targets.keys()].map(name => [name, []]))
  const refusal = (code: ErrorCode, headers: Headers, message?: string, allow?: readonly string[]) =>
    errorAnswer(app, fault(code, message), { requestId: requestIdOf(headers), allow })
  return {
    admit(route, headers) {
      const target = targets.get(route)
      if (!target) return null
      if (options.isDraining()) return refusal('DRAINING', headers)
      const ticket = limiter.enter(target.priority, target.cost)
      if (!ticket) return refusal('OVERLOADED', headers)
      tickets.get(route)!.push(ticket)
      return null
    },
    ended(route) {
      const ticket = tickets.get(route)?.shift()
      if (ticket) limiter.leave(ticket)
    },
    refuse: (code, message, headers, allow) => refusal(code, headers, message, allow),
    async handle(request) {
      const page = options.pages.get(request.route)
      if (page) return page()
      return answer(options, targets.get(request.route)!, request)
    },
  }
}

function targetsOf(app: Application): Map<string, Target> {
  const targets = new Map<string, Target>()
  for (const intent of app.intents.values()) {
    if (intent.kind !== 'query' && intent.kind !== 'command') continue
    const { definition } = intent as Query | Command
    if (!definition.http) continue
    const isCommand = intent.kind === 'command'
    targets.set(intent.name, {
      intent: intent as Query | Command,
      isCommand,
      status: definition.status ?? 200,
      timeoutMs: definition.deadlineMs ?? (isCommand ? limits.commandDeadlineMs : limits.queryDeadlineMs),
      priority: definition.priority ?? 'normal',
      cost: definition.cost ?? 1,
      authenticates: (definition.auth ?? 'none') !== 'none' && app.options.authenticate !== undefined,
      accepts: isCommand ? (definition as Command['definition']).accepts : undefined,
    })
  }
  return targets
}

async function answer(options: RouterOptions, target: Target, request: HttpRequest): Promise<HttpAnswer> {
  const { app, dispatcher, log } = options
  const { headers } = request
  const requestId = requestIdOf(headers)
  const traceparent = traceparentFrom(one(headers['traceparent']))
  try {
    const idempotencyKey = target.isCommand ? idempotencyKeyOf(headers) : undefined
    const caller: Caller | null = target.authenticates ? await app.options.authenticate!(request) : null
    const { output, token } = await dispatcher.dispatch({
      intent: target.intent.name,
      input: target.accepts ? await uploadInput(options, target, target.accepts, request, caller) : inputOf(request),
      repeatable: !target.isCommand || idempotencyKey !== undefined,
      metadata: { timeoutMs: timeoutOf(headers, target.timeoutMs), traceparent, requestId, caller, token: tokenOf(headers), idempotencyKey, depth: 0, priority: target.priority },
    })
    return success(target, output, token, requestId)
  } catch (error) {
    const known = asTenfoldError(error)
    if (known.status >= 500 && known.code !== 'OVERLOADED') {
      log.error({ err: known.cause ?? known, code: known.code, intent: target.intent.name, requestId, traceId: traceIdOf(traceparent) }, 'request failed')
    } else if (log.isLevelEnabled('debug')) log.debug({ code: known.code, intent: target.intent.name, requestId }, 'request refused')
    return errorAnswer(app, known, { requestId })
  }
}

/** A stranger stores nothing where a caller is required. */
async function uploadInput({ uploads }: RouterOptions, { intent }: Target, accepts: Acceptance, request: HttpRequest, caller: Caller | null): Promise<Record<string, unknown>> {
  if (intent.definition.auth === 'required' && !caller) throw fault('UNAUTHENTICATED')
  const upload = await uploads!.receive({ accepts, service: intent.service.name, callerId: caller?.id ?? '', request })
  return { ...request.query, ...request.parameters, upload }
}

function success(target: Target, output: unknown, token: string | undefined, requestId: string): HttpAnswer {
  const headers: Record<string, string> = { 'content-type': 'application/json; charset=utf-8', 'x-request-id': requestId }
  if (token) {
    headers['tenfold-token'] = token
    if (target.isCommand) headers['set-cookie'] = `tenfold_token=${token}; Max-Age=${limits.tokenLifeMs / 1000}; Path=/; HttpOnly; SameSite=Lax`
  }
  if (target.status === 204 || output === undefined) return { status: target.status, headers: withoutType(headers), body: null }
  return { status: target.status, headers, body: JSON.stringify(output) }
}

function withoutType({ 'content-type': _, ...rest }: Record<string, string>): Record<string, string> { return rest }

/** Query and body side by side, the path's parameters above both. */
function inputOf(request: HttpRequest): Record<string, unknown> {
  const { body, query, parameters } = request
  const input: Record<string, unknown> = Object.assign(Object.create(null), query)
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) Object.assign(input, body)
  return { ...input, ...parameters }
}

const one = (value: string | string[] | undefined): string | undefined => Array.isArray(value) ? value[0] : value

function requestIdOf(headers: Headers): string {
  const given = one(headers['x-request-id'])
  return given && /^[\w.:-]{1,128}$/.test(given) ? given : randomHex(8)
}

function timeoutOf(headers: Headers, standardMs: number): number {
  const asked = Number(one(headers['tenfold-timeout-ms']))
  return asked > 0 ? Math.min(asked, standardMs) : standardMs
}

function tokenOf(headers: Headers): string | undefined {
  const header = one(headers['tenfold-token'])
  if (header) return header
  const cookie = one(headers['cookie'])
  return cookie?.includes('tenfold_token=') ? /(?:^|;\s*)tenfold_token=([\w.-]+)/.exec(cookie)?.[1] : undefined
}

function idempotencyKeyOf(headers: Headers): string | undefined {
  const key = one(headers['idempotency-key'])
  if (key === undefined || key === '') return undefined
  if (key.length > limits.idempotencyKeyCharactersMax || !/^[\x21-\x7e]+$/.test(key)) {
    throw fault('BAD_REQUEST', `Idempotency-Key must be 1 to ${limits.idempotencyKeyCharactersMax} visible ASCII characters`)
  }
  return key
}
