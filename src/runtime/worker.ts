/**
 * Jobs. The relay carries what commands enqueued from the outbox to the queue, unless it may
 * be run at once (prompt-jobs.ts); the worker claims and runs them; the scheduler enqueues the
 * jobs with a cron line, once per slot and cluster, because the inbox knows each slot by an id
 * that every process computes alike.
 */
import { createHash } from 'node:crypto'
import { Cron } from 'croner'
import { Deadline } from '../base/deadline.ts'
import { bucketOf } from '../base/id.ts'
import { limits } from '../base/limits.ts'
import { agreedNow, monotonicMs, sleep } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import type { Key } from '../model/intent.ts'
import type { Job } from '../model/job.ts'
import { routed } from '../model/key.ts'
import type { Bus, Subscribed } from '../ports/bus.ts'
import type { Attempt, Queue, Working } from '../ports/queue.ts'
import { observed } from './delivery.ts'
import { PromptJobs } from './prompt-jobs.ts'
import { metadataFor } from './shared-transaction.ts'
import { writingContext } from './execution.ts'
import type { Execution, Surroundings } from './execution.ts'
import type { Span } from './span.ts'
import { tracedTransaction } from './traced-transaction.ts'
import { UnitOfWork } from './unit-of-work.ts'
import { parse } from './schema.ts'

export interface WorkerOptions extends Surroundings {
  readonly app: Application
  readonly queue: Queue
  readonly services: readonly string[]
  readonly concurrency: number
}

const jobsOf = (app: Application, services: readonly string[]): Job[] =>
  [...app.intents.values()].filter(intent => intent.kind === 'job' && services.includes(intent.service.name)) as Job[]

/** The name under which the relay reads the outbox. */
export const relayConsumer = 'tenfold.jobs'

/** Takes jobs from the outbox, in batches: runs those that are prompt and moves the others to the queue. */
export function startRelay({ app, bus, queue }: Pick<WorkerOptions, 'app' | 'queue'> & { readonly bus: Bus }, prompt: PromptJobs): Promise<Subscribed> {
  return bus.subscribe({
    consumer: relayConsumer, names: 'jobs', attemptsMax: Number.MAX_SAFE_INTEGER, backoff: { baseMs: 50, capMs: 5_000 },
    handle: async batch => queue.enqueue((await prompt.run(batch)).map(message => {
      const job = app.intents.get(message.name) as Job | undefined
      return { id: message.id, name: message.name, payload: message.payload, runAtMs: message.runAtMs, traceparent: message.traceparent, attemptsMax: job?.definition.attemptsMax ?? limits.jobAttemptsMax }
    })),
  })
}

export const promptJobs = (options: WorkerOptions): PromptJobs => new PromptJobs(options, new Map(jobsOf(options.app, options.services).map(job => [job.name, job])))

export async function startWorker(options: WorkerOptions, prompt: PromptJobs): Promise<Working> {
  const jobs = new Map(jobsOf(options.app, options.services).map(job => [job.name, job]))
  if (jobs.size === 0) return { stop: async () => {} }
  return options.queue.work({
    names: [...jobs.keys()], concurrency: options.concurrency,
    handle: async attempt => {
      const job = jobs.get(attempt.job.name)!
      const startedAtMs = monotonicMs()
      await measured(options, job, attempt)
      prompt.ran(job, monotonicMs() - startedAtMs)
    },
  })
}

async function measured(options: WorkerOptions, intent: Job, attempt: Attempt): Promise<void> {
  const meter = options.statistics.meterOf(intent)
  if (!meter) return runJob(options, intent, attempt)
  try {
    await meter.measure(runJob(options, intent, attempt))
    meter.messages?.add()
  } catch (error) {
    if (attempt.attempt >= attempt.job.attemptsMax) meter.dead?.add()
    throw error
  }
}

function runJob(options: WorkerOptions, intent: Job, attempt: Attempt): Promise<void> {
  const { job } = attempt
  const span = options.tracer.consume('job', intent.name, [job.traceparent])
  span.facts = { from: 'jobs', messages: 1, messageId: job.id, attempt: attempt.attempt }
  return observed(options, span, () => runUnder(options, intent, job, span))
}

async function runUnder(options: WorkerOptions, intent: Job, job: Attempt['job'], span: Span): Promise<void> {
  const input = await parse(intent.definition.input, job.payload)
  const deadline = new Deadline(intent.definition.deadlineMs ?? limits.jobDeadlineMs)
  const key = intent.definition.key as ((input: unknown) => Key) | undefined
  const target = key ? routed(key(input)) : { key: job.id, bucket: bucketOf(job.id) }
  const scope = { service: intent.service.name, bucket: target.bucket, deadlineMonotonicMs: deadline.atMonotonicMs }
  const work = new UnitOfWork(options, scope, target.key, span)
  const execution: Execution = { intent, deadline, bucket: target.bucket, user: null, metadata: metadataFor(job, span, deadline), span }
  const run = intent.definition.run as (context: unknown, input: unknown) => Promise<void>
  const seen = { id: job.id, bucket: target.bucket }
  try {
    if (!intent.definition.outside) {
      const fresh = await (await work.transaction()).firstSeen(intent.name, [seen])
      if (!fresh.has(job.id)) return await work.abandon(new Error('done before'))
    }
    await deadline.race(run(writingContext(options, execution, work), input))
    await work.finish()
    await work.spread()
  } catch (error) {
    await work.abandon(error)
    throw error
  }
}

/** Enqueues the scheduled jobs. A slot that passes while no process runs is not made up for. */
export function startScheduler(options: WorkerOptions): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const loops = jobsOf(options.app, options.services).filter(job => job.definition.cron).map(job => schedule(options, job, stopping.signal))
  return { stop: async () => { stopping.abort(); await Promise.all(loops) } }
}

async function schedule(options: WorkerOptions, job: Job, signal: AbortSignal): Promise<void> {
  const cron = new Cron(job.definition.cron!, { utcOffset: 0, paused: true })
  for (let slot = cron.nextRun(new Date(agreedNow())); slot && !signal.aborted; slot = cron.nextRun(slot)) {
    // Long waits in steps: timers overflow after 24 days, and the wall clock may be set.
    while (slot.getTime() > agreedNow() && !signal.aborted) await sleep(Math.min(slot.getTime() - agreedNow(), 60_000), signal)
    if (signal.aborted) return
    await fire(options, job, slot).catch((error: unknown) => options.log.error({ err: error, job: job.name, slot }, 'a schedule could not fire'))
  }
}

async function fire(options: WorkerOptions, job: Job, slot: Date): Promise<void> {
  const id = slotId(job.name, slot)
  const bucket = bucketOf(job.name)
  const scope = { service: job.service.name, bucket, deadlineMonotonicMs: monotonicMs() + limits.commandDeadlineMs }
  const span = options.tracer.begin('schedule', job.name)
  await options.tracer.run(span, () => tracedTransaction(options.database, scope, span, async transaction => {
    const fresh = await transaction.firstSeen(`schedule:${job.name}`, [{ id, bucket }])
    if (fresh.has(id)) await transaction.append([{ id, kind: 'job', name: job.name, key: job.name, bucket, payload: {}, atMs: slot.getTime(), traceparent: span.traceparent }])
  }))
}

/** The same id in every process for one slot of one schedule. */
function slotId(name: string, slot: Date): string {
  const hex = createHash('sha256').update(`${name} ${slot.toISOString()}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
