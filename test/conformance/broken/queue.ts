/** Queues with one fault each around a real one: the suite must find it. */
import type { Queue } from '../../../src/ports/queue.ts'

const around = (queue: Queue, more: Partial<Queue>): Queue => ({
  open: () => queue.open(), close: () => queue.close(), enqueue: jobs => queue.enqueue(jobs), work: options => queue.work(options),
  depth: () => queue.depth(), dead: limit => queue.dead(limit), retry: id => queue.retry(id), ...more,
})

/** Runs each job twice. */
export const twiceQueue = (queue: Queue): Queue => around(queue, {
  work: options => queue.work({ ...options, handle: async attempt => { await options.handle(attempt); await options.handle(attempt) } }),
})

/** Says that it has the jobs, and drops the last one of each call. */
export const forgetfulQueue = (queue: Queue): Queue => around(queue, { enqueue: jobs => queue.enqueue(jobs.slice(0, -1)) })

/** Forgets what jobs share. */
export const unserialQueue = (queue: Queue): Queue => around(queue, { enqueue: jobs => queue.enqueue(jobs.map(job => ({ ...job, serial: undefined }))) })

/** Takes what has failed a second time for done. */
export const lossyQueue = (queue: Queue): Queue => around(queue, {
  work: options => queue.work({ ...options, handle: async attempt => { await options.handle(attempt).catch((error: unknown) => { if (attempt.attempt === 1) throw error }) } }),
})
