/**
 * Jobs that need not wait in the queue: those that may run at once, in a transaction, and
 * have been short so far. The relay runs them straight from the outbox, many in a transaction,
 * instead of having each written to the queue, claimed, committed and deleted on its own.
 *
 *   slow or unknown ── 3 short runs in a row ──▶ prompt
 *                   ◀── one that failed or called another intent; that job goes to the queue.
 *                       One that was not over in time: 30 short runs
 *
 * Nothing is decided by having run here. The inbox knows what has had its effect, so a job
 * that comes again, here or from the queue, does nothing; what failed here has changed nothing
 * and begins in the queue as if it had not been tried.
 */
import { monotonicMs, now } from '../base/time.ts'
import type { Job } from '../model/job.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Message } from '../ports/database.ts'
import { bucketOf } from '../base/id.ts'
import { observed } from './delivery.ts'
import type { Surroundings } from './execution.ts'
import { parse } from './schema.ts'
import { callers, commitTogether, togetherMax } from './shared-transaction.ts'
import type { Due } from './shared-transaction.ts'

/** Runs in a row that make a job prompt. */
const provenRuns = 3
/** On a busy process even a small job takes a while, so this is not small. */
const shortMs = 250
/** Counted as so many runs to be made up for. */
const lateRuns = 27
const lanesMax = 4

export interface PromptLimits {
  /** Of the jobs of one transaction, together. */
  readonly deadlineMs: number
  /** What has not begun by then goes to the queue, where others may take it. */
  readonly budgetMs: number
}

const standard: PromptLimits = { deadlineMs: 2_000, budgetMs: 500 }

export class PromptJobs {
  readonly #surroundings: Surroundings
  readonly #jobs: ReadonlyMap<string, Job>
  readonly #limits: PromptLimits
  readonly #shortRuns = new Map<Job, number>()

  constructor(surroundings: Surroundings, jobs: ReadonlyMap<string, Job>, limits = standard) {
    this.#surroundings = surroundings
    this.#jobs = jobs
    this.#limits = limits
  }

  /** A run from the queue has succeeded. */
  ran(job: Job, tookMs: number): void {
    const before = this.#shortRuns.get(job) ?? 0
    this.#shortRuns.set(job, tookMs < shortMs ? before + 1 : Math.min(before, 0))
  }

  /** Runs what it may and returns the rest, in order: that is for the queue. */
  async run(messages: readonly Message[]): Promise<Message[]> {
    const done = new Set<Message>()
    const untilMs = monotonicMs() + this.#limits.budgetMs
    const chunks = this.#chunks(messages)
    await Promise.all(Array.from({ length: Math.min(lanesMax, chunks.length) }, async () => {
      for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) {
        if (monotonicMs() > untilMs || !this.#isPrompt(chunk.job)) continue
        if (await this.#runChunk(chunk.job, chunk.messages)) for (const message of chunk.messages) done.add(message)
      }
    }))
    return messages.filter(message => !done.has(message))
  }

  #isPrompt(job: Job): boolean {
    return !job.definition.outside && !callers.has(job) && (this.#shortRuns.get(job) ?? 0) >= provenRuns
  }

  #chunks(messages: readonly Message[]): { readonly job: Job; readonly messages: Message[] }[] {
    const chunks: { readonly job: Job; readonly messages: Message[] }[] = []
    const open = new Map<Job, Message[]>()
    const atMs = now()
    for (const message of messages) {
      const job = this.#jobs.get(message.name)
      if (!job || !this.#isPrompt(job) || (message.runAtMs ?? 0) > atMs) continue
      const chunk = open.get(job)
      if (chunk && chunk.length < togetherMax) chunk.push(message)
      else {
        const started = [message]
        open.set(job, started)
        chunks.push({ job, messages: started })
      }
    }
    return chunks
  }

  async #runChunk(job: Job, messages: readonly Message[]): Promise<boolean> {
    const { tracer, log } = this.#surroundings
    const span = tracer.consume('job', job.name, messages.map(one => one.traceparent))
    span.facts = { from: 'outbox', messages: messages.length, ...messages.length === 1 ? { messageId: messages[0]!.id } : {} }
    const startedAtMs = monotonicMs()
    try {
      await observed(this.#surroundings, span, async () => commitTogether(this.#surroundings, job, await Promise.all(messages.map(message => dueOf(job, message))), null, span, this.#limits.deadlineMs))
      return true
    } catch (error) {
      this.#shortRuns.set(job, monotonicMs() - startedAtMs < this.#limits.deadlineMs ? 0 : -lateRuns)
      log.debug({ err: error, intent: job.name, messages: messages.length }, 'jobs did not run at once; the queue has them now')
      return false
    }
  }
}

async function dueOf({ definition }: Job, message: Message): Promise<Due> {
  const input = await parse(definition.input, message.payload)
  const key = definition.key as ((input: unknown) => Key) | undefined
  return { message, input, target: key ? routed(key(input)) : { key: message.id, bucket: bucketOf(message.id) } }
}
