/**
 * Runs commands: caller, input, key, and one transaction with the handler, the memory of the
 * answer, events and jobs. Answers after COMMIT, when the caches of this process have
 * forgotten what is no longer true.
 */
import { createHash } from 'node:crypto'
import type { Deadline } from '../base/deadline.ts'
import { fault } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import type { Command } from '../model/command.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Call } from '../ports/transport.ts'
import { callerOf } from './caller.ts'
import type { DispatcherOptions, Outcome } from './dispatcher.ts'
import { writingContext } from './execution.ts'
import type { Execution } from './execution.ts'
import { parse, parseOwn } from './schema.ts'
import type { Span } from './span.ts'
import { UnitOfWork } from './unit-of-work.ts'

/** For the negative control only. */
const writtenBehindMs = 50

export class CommandRunner {
  readonly #options: DispatcherOptions

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  async run(intent: Command, call: Call, deadline: Deadline, span: Span): Promise<Outcome> {
    const { definition } = intent
    const { metadata } = call
    // Who calls comes first: a stranger learns nothing about what an input should look like.
    const user = callerOf(intent, call)
    const parsed = parse(definition.input, call.input)
    const input = parsed instanceof Promise ? await parsed : parsed
    const key = routed((definition.key as (input: unknown, caller: unknown) => Key)(input, { user }))
    const scope = { service: intent.service.name, bucket: key.bucket, deadlineMonotonicMs: deadline.atMonotonicMs, mayBeRefused: metadata.mayBeRefused ?? false, after: this.#options.session.living(metadata.token)?.token.positions }
    if (metadata.token && definition.reads) await span.begin('await', 'read models').around(this.#options.session.awaitProjections(definition.reads, metadata.token))
    const work = new UnitOfWork(this.#options, scope, key.key, span)
    try {
      const memory = metadata.idempotencyKey && this.#options.remembersAnswers !== false ? new Memory(intent, call, user?.id) : null
      // Awaited: what a handler does outside of its transaction must not be done again either.
      const remembered = memory && await (await work.transaction()).recall(memory.scope, memory.key)
      if (remembered) {
        await work.abandon(fault('CONFLICT', 'answered from memory'))
        if (remembered.fingerprint !== memory.fingerprint) throw fault('IDEMPOTENCY_MISMATCH')
        return { output: remembered.answer, kept: null, token: await this.#options.session.tokenAfterWrite(metadata.token) }
      }
      const output = await this.#handle(intent, { intent, metadata, user, deadline, bucket: key.bucket, span }, work, input)
      return await this.#acknowledge(work, output, metadata.token, span, memory)
    } catch (error) {
      await work.abandon(error)
      throw error
    }
  }

  async #handle(intent: Command, execution: Execution, work: UnitOfWork, input: unknown): Promise<unknown> {
    const { definition } = intent
    const run = definition.run as (context: unknown, input: unknown) => Promise<unknown>
    const output = await parseOwn(definition.output, await run(writingContext(this.#options, execution, work), input), intent)
    const invalidates = definition.invalidates as ((input: unknown, facts: unknown) => readonly string[]) | undefined
    if (invalidates) {
      const tags = invalidates(input, { user: execution.user, output })
      work.invalidate(tags)
      this.#options.ghost?.invalidate(tags)
    }
    return output
  }

  async #acknowledge(work: UnitOfWork, output: unknown, token: string | undefined, span: Span, memory: Memory | null): Promise<Outcome> {
    // Not awaited: it travels with COMMIT, which becomes a ROLLBACK when another call was first.
    const kept = memory && (await work.transaction()).remember(memory.scope, memory.key, { fingerprint: memory.fingerprint, answer: output ?? null })
    kept?.catch(() => {})
    if (this.#options.acknowledgeAfterCommit === false) {
      // As late as an engine that writes behind: a crash falls between in every run.
      void sleep(writtenBehindMs).then(() => work.finish()).catch(() => {})
      return { output, kept: null, token }
    }
    const committed = work.isDue ? work.committed() : null
    committed?.catch(() => {})
    const isCommitted = await work.finish().catch(async (error: unknown) => { await kept; throw error })
    if (!isCommitted) return { output, kept: null, token }
    const [newToken] = await Promise.all([span.begin('position', 'log').around(this.#options.session.tokenAfterWrite(token, await committed)), work.spread()])
    return { output, kept: null, token: newToken }
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
