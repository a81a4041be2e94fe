/**
 * The dispatcher runs one call of one intent: deadline, input, key, session, handler,
 * output. It answers calls from the ingress and, through the transport, from other
 * services, and it is the one layer that retries.
 */
import { createHash } from 'node:crypto'
import { fault, isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Query } from '../model/query.ts'
import type { Bus } from '../ports/bus.ts'
import type { Answer, Call } from '../ports/transport.ts'
import { Deadline } from './deadline.ts'
import { assertDepth, queryContext, writingContext } from './execution.ts'
import type { Execution, Surroundings } from './execution.ts'
import { isRetryable, RetryBudget, withRetries } from './retry.ts'
import { parse, parseOwn } from './schema.ts'
import { Session } from './session.ts'
import type { TokenCodec } from './token.ts'
import { UnitOfWork } from './unit-of-work.ts'

export interface DispatcherOptions extends Surroundings {
  readonly app: Application
  readonly bus: Bus
  readonly tokens: TokenCodec
  /** False leaves out what the negative control of the crash test needs: answers come before COMMIT. */
  readonly acknowledgeAfterCommit?: boolean
}

export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #session: Session
  readonly #budget = new RetryBudget()

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#session = new Session(options)
  }

  /** Runs a call; rejects with a TenfoldError, or with whatever a programming error threw. */
  async dispatch(call: Call): Promise<Answer> {
    const intent = this.#options.app.intents.get(call.intent)
    if (!intent || (intent.kind !== 'query' && intent.kind !== 'command')) throw fault('NOT_FOUND', `there is no query or command '${call.intent}'`)
    assertDepth(call.metadata, limits.callDepthMax)
    const deadline = new Deadline(call.metadata.timeoutMs)
    deadline.check()
    const work = () => intent.kind === 'query'
      ? this.#query(intent as Query, call, deadline)
      : this.#command(intent as Command, call, deadline)
    if (call.metadata.depth > 0) return deadline.race(work())
    const mayRetry = (error: unknown) => isRetryable(error) || (call.repeatable && isTenfoldError(error) && error.code === 'OUTCOME_UNKNOWN')
    return deadline.race(withRetries(this.#budget, deadline.atMonotonicMs, mayRetry, work))
  }

  async #query(intent: Query, call: Call, deadline: Deadline): Promise<Answer> {
    const { definition } = intent
    // Who calls comes first: a stranger learns nothing about what an input should look like.
    const caller = this.#caller(intent, call)
    const input = await parse(definition.input, call.input)
    const key = definition.key as ((input: unknown, caller: unknown) => Key) | undefined
    const bucket = key ? routed(key(input, { user: caller })).bucket : null
    if (call.metadata.token && definition.reads) await this.#session.awaitProjections(definition.reads, call.metadata.token)
    const execution: Execution = { intent, metadata: call.metadata, user: caller, deadline, bucket }
    const run = definition.run as (context: unknown, input: unknown) => unknown
    const output = await run(queryContext(this.#options, execution), input)
    return { output: await parseOwn(definition.output, output, `the output of ${intent.name}`), token: call.metadata.token }
  }

  async #command(intent: Command, call: Call, deadline: Deadline): Promise<Answer> {
    const { definition } = intent
    // Who calls comes first: a stranger learns nothing about what an input should look like.
    const caller = this.#caller(intent, call)
    const input = await parse(definition.input, call.input)
    const key = routed((definition.key as (input: unknown, caller: unknown) => Key)(input, { user: caller }))
    const { metadata } = call
    const scope = { service: intent.service.name, bucket: key.bucket, deadlineMonotonicMs: deadline.atMonotonicMs }
    const work = new UnitOfWork(this.#options.database, scope, key.key, metadata.traceparent)
    const execution: Execution = { intent, metadata, user: caller, deadline, bucket: key.bucket }
    try {
      const memory = metadata.idempotencyKey ? new Memory(intent, call, caller?.id) : null
      const remembered = memory && await (await work.transaction()).recall(memory.scope, memory.key)
      if (remembered) {
        await work.abandon(fault('CONFLICT', 'answered from memory'))
        if (remembered.fingerprint !== memory.fingerprint) throw fault('IDEMPOTENCY_MISMATCH')
        return { output: remembered.answer, token: await this.#session.tokenAfterWrite(metadata.token) }
      }
      const run = definition.run as (context: unknown, input: unknown) => Promise<unknown>
      const output = await parseOwn(definition.output, await run(writingContext(this.#options, execution, work), input), `the output of ${intent.name}`)
      if (memory) await (await work.transaction()).remember(memory.scope, memory.key, { fingerprint: memory.fingerprint, answer: output ?? null })
      return await this.#acknowledge(work, output, metadata.token)
    } catch (error) {
      await work.abandon(error)
      throw error
    }
  }

  async #acknowledge(work: UnitOfWork, output: unknown, token: string | undefined): Promise<Answer> {
    if (this.#options.acknowledgeAfterCommit === false) {
      void work.finish().catch(() => {})
      return { output, token }
    }
    const wrote = await work.finish()
    return { output, token: wrote ? await this.#session.tokenAfterWrite(token) : token }
  }

  #caller(intent: Query | Command, call: Call) {
    const { auth = 'none' } = intent.definition
    const { caller } = call.metadata
    if (auth === 'required' && !caller) throw fault('UNAUTHENTICATED')
    return auth === 'none' ? null : caller
  }
}

/** Where the first answer to an idempotency key is kept, and what tells the same request from another. */
class Memory {
  readonly scope: string
  readonly key: string
  readonly fingerprint: string

  constructor(intent: Command, call: Call, callerId: string | undefined) {
    this.scope = `${intent.name}:${callerId ?? ''}`
    this.key = call.metadata.idempotencyKey!
    this.fingerprint = createHash('sha256').update(JSON.stringify(call.input) ?? '').digest('base64url')
  }
}
