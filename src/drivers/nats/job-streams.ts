/**
 * What the queue keeps in JetStream: jobs that may run in a work queue, those that are to
 * run later in a second, and the dead in a third stream. Every job has a subject of its own,
 * and a stream takes one message per subject: that is how an id that waits is enqueued once,
 * however much later it comes again.
 */
import type { ConsumerConfig, StreamConfig } from '@nats-io/jetstream'
import { createHash } from 'node:crypto'
import { agreedNow } from '../../base/time.ts'
import type { Job } from '../../ports/queue.ts'
import type { Nats } from './connection.ts'

type Stream = Partial<StreamConfig> & { readonly name: string }

export interface JobStreams { readonly prefix: string; readonly jobs: Stream; readonly later: Stream; readonly dead: Stream; readonly due: Consumer }
export type Consumer = Partial<ConsumerConfig> & { readonly durable_name: string; readonly filter_subject: string }

/** A job as it lies in a stream. */
export interface StoredJob {
  readonly job: Job
  /** That have failed. */
  readonly attempts: number
  /** From stream to stream since it was enqueued: of two messages of one job the newer has more. */
  readonly moves: number
  readonly readyAtMs: number
  readonly error?: string
}

/** Jobs of one serial text share one of so many orders with others. */
export const serialLanes = 4
export const leaseMs = 5_000
const millisecondNs = 1_000_000
const working = { ack_policy: 'explicit', ack_wait: leaseMs * millisecondNs } as const

export function jobStreams(prefix: string): JobStreams {
  const once = { max_msgs_per_subject: 1, discard: 'new', discard_new_per_subject: true } as const
  return {
    prefix,
    jobs: { name: `${prefix}_jobs`, subjects: [`${prefix}.job.>`], retention: 'workqueue', ...once },
    later: { name: `${prefix}_later`, subjects: [`${prefix}.later.>`], retention: 'workqueue', ...once },
    dead: { name: `${prefix}_dead`, subjects: [`${prefix}.dead.>`], max_msgs_per_subject: 1, discard: 'old' },
    // As soon again as a claim: what was put off is forgotten by a server that is killed.
    due: { durable_name: 'due', filter_subject: `${prefix}.later.>`, ...working, max_ack_pending: -1 },
  }
}

/** One token of a subject. */
const token = (text: string): string => text.replace(/[^\w$-]/g, one => `%${one.charCodeAt(0).toString(16)}`)
const laneOf = (serial: string): number => createHash('sha256').update(serial).digest()[0]! % serialLanes

export const readySubject = ({ prefix }: JobStreams, { id, name, serial }: Job): string =>
  serial === undefined ? `${prefix}.job.free.${token(name)}.${token(id)}` : `${prefix}.job.serial.${laneOf(serial)}.${token(id)}`
export const laterSubject = ({ prefix }: JobStreams, id: string): string => `${prefix}.later.${token(id)}`
export const deadSubject = ({ prefix }: JobStreams, id: string): string => `${prefix}.dead.${token(id)}`

export const freeConsumer = ({ prefix }: JobStreams, name: string): Consumer =>
  ({ durable_name: `free-${token(name).replaceAll('%', '=')}`, filter_subject: `${prefix}.job.free.${token(name)}.*`, ...working, max_ack_pending: 10_000 })
/** One at a time, and while it is tried again nothing behind it. */
export const serialConsumer = ({ prefix }: JobStreams, lane: number): Consumer =>
  ({ durable_name: `serial-${lane}`, filter_subject: `${prefix}.job.serial.${lane}.*`, ...working, max_ack_pending: 1 })

const storedText = (stored: StoredJob): string => JSON.stringify(stored)

export function storedIn(text: string): StoredJob {
  const { job, moves = 0, ...rest } = JSON.parse(text) as StoredJob
  const { id, name, payload = null, attemptsMax, serial, runAtMs, traceparent } = job
  return { job: { id, name, payload, attemptsMax, serial, runAtMs, traceparent }, moves, ...rest }
}

export const storedOf = (job: Job): StoredJob => ({ job, attempts: 0, moves: 0, readyAtMs: job.runAtMs ?? agreedNow() })

/**
 * Puts a job where it is to lie now; what lies there already is left as it is. False while
 * that is an older message of the job, the one this came from: it is about to be
 * acknowledged, and with it the job would be gone; or a killed server has forgotten to remove it
 * (connection.ts, `ensureConsumer`). It is not removed here: what a consumer still waits for would keep it from
 * ever getting beyond (seen with nats-server 2.9).
 */
export async function put({ jetstream, manager }: Nats, stream: Stream, subject: string, stored: StoredJob): Promise<boolean> {
  try {
    await jetstream.publish(subject, storedText(stored))
    return true
  } catch (error) {
    if (!/maximum messages per subject exceeded/.test(String(error))) throw error
    const found = await manager.streams.getMessage(stream.name, { last_by_subj: subject })
    return found !== null && storedIn(found.string()).moves >= stored.moves
  }
}
