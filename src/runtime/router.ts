/**
 * From HTTP to intents and back: admission by the limiter, a call put together from the
 * request (request.ts), and its answer (answer.ts, problem.ts).
 */
import { fault } from '../base/errors.ts'
import type { ErrorCode, TenfoldError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { monotonicMs } from '../base/time.ts'
import { credentialsOf } from '../model/app.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import type { SessionChange } from '../model/session.ts'
import type { Acceptance } from '../model/upload.ts'
import type { Admission, HttpAnswer, HttpRequest, IngressHandler, RequestHead } from '../ports/ingress.ts'
import type { Caller, CallMetadata } from '../ports/transport.ts'
import { keptAnswer, publicHeaders, success } from './answer.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Limiter, Ticket } from './limiter.ts'
import { asTenfoldError, errorAnswer } from './problem.ts'
import { refusalOf } from './query-cache.ts'
import type { Kept, QueryCache } from './query-cache.ts'
import { RecallMemo } from './recall.ts'
import type { Passage, RateGate } from './rate-gate.ts'
import { addressOf, idempotencyKeyOf, inputOf, requestIdOf, timeoutOf, tokenOf } from './request.ts'
import { RequestTrace } from './request-trace.ts'
import type { SessionGate } from './session-gate.ts'
import type { Statistics } from './statistics.ts'
import { targetsOf } from './target.ts'
import type { Target } from './target.ts'
import type { Tracer } from './tracer.ts'
import type { Uploads } from './upload.ts'

export interface RouterOptions {
  readonly app: Application
  readonly dispatcher: Pick<Dispatcher, 'answer'>
  /** Without it nothing is kept. */
  readonly cache?: QueryCache | null
  /** True when a CDN stands in front, which Tenfold purges. */
  readonly hasCdn?: boolean
  readonly limiter: Limiter
  /** Without it rates are not kept. */
  readonly gate?: RateGate
  /** Null when the application has no sessions. */
  readonly sessions?: SessionGate | null
  /** Trusted proxies in front. Default none. */
  readonly proxies?: number
  /** Without it nothing is measured. */
  readonly statistics?: Statistics
  readonly log: Logger
  readonly tracer: Tracer
  /** Null when no command accepts files. */
  readonly uploads?: Uploads | null
  /** Pages served beside the intents: OpenAPI and its reader, health. */
  readonly pages: ReadonlyMap<string, () => HttpAnswer>
  isDraining(): boolean
}

/** The limiter's ticket travels with its request. */
class Admitted implements Admission {
  readonly refusal = null
  readonly ticket: Ticket | null

  constructor(ticket: Ticket | null) {
    this.ticket = ticket
  }
}

const unlimited = new Admitted(null)

/** Made once: under overload the stack of each would cost as much as the rest of a refusal. */
const turnedAway = { OVERLOADED: fault('OVERLOADED'), DRAINING: fault('DRAINING') }

export function createRouter(options: RouterOptions): IngressHandler {
  const { app, limiter } = options
  const targets = targetsOf(app, options.hasCdn ?? false, intent => options.statistics?.meterOf(intent) ?? null)
  const memo = options.cache ? new RecallMemo(app, options.cache, options.tracer) : null
  const refusal = (code: ErrorCode, headers: RequestHead['headers'], message?: string, allow?: readonly string[]) =>
    errorAnswer(app, fault(code, message), { requestId: requestIdOf(headers), allow })
  return {
    recall: memo ? (url, headers) => memo.recall(url, headers) : undefined,
    admit({ route, headers }) {
      const target = targets.get(route)
      if (!target) return unlimited
      const ticket = options.isDraining() ? null : limiter.enter(target.priority, target.cost)
      if (ticket) return new Admitted(ticket)
      const code = options.isDraining() ? 'DRAINING' : 'OVERLOADED'
      target.meter?.shed(code)
      return { refusal: errorAnswer(app, turnedAway[code], { requestId: requestIdOf(headers) }) }
    },
    ended(admission) {
      const { ticket } = admission as Admitted
      if (ticket) limiter.leave(ticket)
    },
    refuse: (code, message, headers, allow) => refusal(code, headers, message, allow),
    handle(request) {
      const target = targets.get(request.route)
      return target ? answer(options, memo, target, request) : Promise.resolve(options.pages.get(request.route)!())
    },
  }
}

async function answer(options: RouterOptions, memo: RecallMemo | null, target: Target, request: HttpRequest): Promise<HttpAnswer> {
  const { app, dispatcher } = options
  const { headers } = request
  const requestId = requestIdOf(headers)
  const trace = new RequestTrace(options, target, request, requestId)
  const startedAtMs = monotonicMs()
  const address = addressOf(request, options.proxies ?? 0)
  let dispatched = false
  let rateHeaders: Passage['headers'] | null = null
  const end = (sent: HttpAnswer, error?: TenfoldError) => trace.end(rateHeaders ? { ...sent, headers: { ...sent.headers, ...rateHeaders } } : sent, error)
  try {
    const caller = target.authenticates ? await callerOf(options, headers, address) : null
    const passage = target.rate && options.gate ? await options.gate.pass(target.intent.name, target.rate, { caller, address }) : null
    rateHeaders = passage?.headers ?? null
    if (passage?.refusal) throw passage.refusal
    const metadata: CallMetadata = {
      timeoutMs: timeoutOf(headers, target.timeoutMs),
      traceparent: trace.span.traceparent, requestId,
      idempotencyKey: target.isCommand ? idempotencyKeyOf(headers) : undefined,
      caller,
      token: tokenOf(headers),
      depth: 0,
      priority: target.priority,
      mayBeRefused: target.priority !== 'critical',
    }
    const repeatable = !target.isCommand || metadata.idempotencyKey !== undefined
    const input = target.accepts ? await uploadInput(options, target, target.accepts, request, metadata.caller) : inputOf(request)
    // From here on the dispatcher measures.
    dispatched = true
    const outcome = await dispatcher.answer({ intent: target.intent.name, input, repeatable, metadata }, trace.span)
    const facts = { requestId, token: outcome.token, headers }
    if (!outcome.kept) return end(await withSession(options, target, request, caller, outcome.output, success(target, outcome.output, facts)))
    const isPublic = target.caching.isPublic && metadata.caller === null && metadata.token === undefined
    if (isPublic) {
      // What somebody else may be given says nothing of this one.
      rateHeaders = null
      memo?.remember(request, target, outcome.kept)
    }
    if (outcome.kept.note.refusal) return end(missing(app, target, outcome.kept, isPublic, requestId))
    return end(keptAnswer(target, outcome.kept, isPublic, facts))
  } catch (error) {
    if (!dispatched) target.meter?.failed(error, startedAtMs)
    const known = asTenfoldError(error)
    return end(errorAnswer(app, known, { requestId }), known)
  }
}

/** A stranger stores nothing where a caller is required. */
async function uploadInput({ uploads }: RouterOptions, { intent }: Target, accepts: Acceptance, request: HttpRequest, caller: Caller | null): Promise<Record<string, unknown>> {
  if (intent.definition.auth === 'required' && !caller) throw fault('UNAUTHENTICATED')
  const upload = await uploads!.receive({ accepts, service: intent.service.name, callerId: caller?.id ?? '', request })
  return { ...request.query, ...request.parameters, upload }
}

/** A kept NOT_FOUND, which a CDN may keep as well. */
function missing(app: Application, { caching }: Target, kept: Kept, isPublic: boolean, requestId: string): HttpAnswer {
  const answer = errorAnswer(app, refusalOf(kept), { requestId })
  return isPublic ? { ...answer, headers: { ...answer.headers, ...publicHeaders(caching, kept) } } : answer
}

/** What has committed stays so: when the engine of sessions is away now, a retry with the same idempotency key makes up for it. */
async function withSession({ sessions }: RouterOptions, { intent }: Target, { headers }: HttpRequest, user: Caller | null, output: unknown, answer: HttpAnswer): Promise<HttpAnswer> {
  const { session } = (intent as Command).definition
  if (!session || !sessions) return answer
  const cookie = await sessions.change(session as SessionChange<unknown, Caller | null>, { output, user: intent.definition.auth === undefined || intent.definition.auth === 'none' ? null : user }, headers)
  if (cookie === null) return answer
  const others = answer.headers['set-cookie'] ?? []
  return { ...answer, headers: { ...answer.headers, 'set-cookie': [cookie, ...typeof others === 'string' ? [others] : others] } }
}

function callerOf({ app, sessions }: RouterOptions, headers: HttpRequest['headers'], remoteAddress: string): Caller | null | Promise<Caller | null> {
  if (sessions?.hasSession(headers)) return sessions.callerOf(headers)
  const { authenticate } = app.options
  if (!authenticate) return null
  const given: Record<string, string | string[] | undefined> = {}
  for (const name of credentialsOf(app)) if (headers[name] !== undefined) given[name] = headers[name]
  return Object.keys(given).length === 0 ? null : authenticate.call(app.options, { headers: given, remoteAddress })
}
