/** What every queue driver must do. */
import assert from 'node:assert/strict'
import { newId } from '../base/id.ts'
import { installRandom, systemRandom } from '../base/random.ts'
import { monotonicMs, now, sleep } from '../base/time.ts'
import type { Attempt, Job, Queue, Working } from '../ports/queue.ts'
import { suite } from './check.ts'

export interface QueueSubject {
  readonly queue: Queue
  /** The same queue, opened by another process; closed with the subject. */
  reopen(): Promise<Queue>
  /** Fault 'restart': the engine stops and starts. */
  restart?(): Promise<void>
  /** Fault 'cut': every connection to the engine breaks. */
  cut?(): Promise<void>
  /** Fault 'die': a worker process with this queue claims one job of this name, never finishes it and is killed. */
  die?(name: string): Promise<void>
}

const name = 'mail.send'
const jobs = (count: number, more: Partial<Job> = {}): Job[] =>
  Array.from({ length: count }, (_, index) => ({ id: newId(index), name, payload: { n: index }, attemptsMax: 3, ...more }))

async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  for (const endMs = monotonicMs() + timeoutMs; !await condition(); await sleep(10)) {
    if (monotonicMs() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
  }
}

interface Recorder { readonly attempts: Attempt[]; readonly working: Working; ids(): string[] }

async function record(queue: Queue, concurrency = 4, handle: (attempt: Attempt) => Promise<void> = async () => {}): Promise<Recorder> {
  const attempts: Attempt[] = []
  const working = await queue.work({ names: [name], concurrency, handle: attempt => { attempts.push(attempt); return handle(attempt) } })
  return { attempts, working, ids: () => attempts.map(attempt => attempt.job.id) }
}

export const queueSuite = suite<QueueSubject>('queue', {
  'a job runs once and arrives as it was enqueued': async ({ queue }) => {
    const all = [...jobs(1, { payload: { text: 'ä"\\\n', list: [1, null, true] } }), ...jobs(1, { payload: null, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }), ...jobs(1, { payload: [1, 2] })]
    await queue.enqueue(all)
    const { attempts, working } = await record(queue)
    await until('all have run', () => attempts.length >= 3)
    await sleep(100)
    await working.stop(1_000)
    assert.equal(attempts.length, 3, 'none ran twice')
    for (const job of all) {
      const attempt = attempts.find(one => one.job.id === job.id)!
      assert.deepEqual([attempt.job.name, attempt.job.payload, attempt.attempt, attempt.job.attemptsMax, attempt.job.traceparent], [name, job.payload, 1, 3, job.traceparent])
    }
    assert.equal((await queue.depth()).waiting, 0)
  },
  'a worker that runs hears of a new job soon': async ({ queue }) => {
    const { attempts, working } = await record(queue)
    await sleep(300)
    // The quickest of some: a machine may stand still for a while.
    let quickestMs = Infinity
    for (let count = 1; count <= 5; count++) {
      const startedAtMs = monotonicMs()
      await queue.enqueue(jobs(1))
      await until('it has run', () => attempts.length === count)
      quickestMs = Math.min(quickestMs, monotonicMs() - startedAtMs)
    }
    assert.ok(quickestMs < 1_000, 'within a second')
    await working.stop(1_000)
  },
  'a waiting id is enqueued once; one that is done runs again': async ({ queue }) => {
    const [job] = jobs(1) as [Job]
    await queue.enqueue([job, job])
    await queue.enqueue([{ ...job, payload: 'another' }])
    assert.equal((await queue.depth()).waiting, 1)
    const { attempts, working } = await record(queue)
    await until('it has run', () => attempts.length === 1)
    await until('it is done', async () => (await queue.depth()).running === 0)
    assert.deepEqual(attempts[0]!.job.payload, job.payload, 'the first one counts')
    await queue.enqueue([job])
    await until('it has run again', () => attempts.length === 2)
    await working.stop(1_000)
  },
  'a job does not start before its time': async ({ queue }) => {
    const runAtMs = now() + 700
    await queue.enqueue(jobs(1, { runAtMs }))
    assert.equal((await queue.depth()).scheduled, 1)
    const { attempts, working } = await record(queue)
    await until('it has run', () => attempts.length === 1)
    assert.ok(now() >= runAtMs, 'not before its time')
    await working.stop(1_000)
  },
  'jobs of one serial text run one after another, in order': async ({ queue }) => {
    const all = jobs(12, { serial: 'one' })
    await queue.enqueue(all.slice(0, 8))
    await queue.enqueue(all.slice(8))
    let running = 0
    let most = 0
    const { ids, working } = await record(queue, 4, async () => { most = Math.max(most, ++running); await sleep(5); running-- })
    await until('all have run', () => ids().length === 12 && running === 0)
    await working.stop(1_000)
    assert.equal(most, 1, 'one at a time')
    assert.deepEqual(ids(), all.map(job => job.id))
  },
  'a failure is tried again, then the job is dead until it is retried': async ({ queue }) => {
    const [job] = jobs(1, { attemptsMax: 2 }) as [Job]
    await queue.enqueue([job])
    let fail = true
    const { attempts, working } = await record(queue, 4, async () => { if (fail) throw new Error('no luck') })
    await until('it is dead', async () => (await queue.dead(10)).length === 1, 30_000)
    assert.deepEqual(attempts.map(one => one.attempt), [1, 2])
    const [dead] = await queue.dead(10)
    assert.deepEqual([dead!.job.id, dead!.job.payload, dead!.attempts, dead!.error], [job.id, job.payload, 2, 'no luck'])
    assert.equal((await queue.depth()).dead, 1)
    assert.equal(await queue.retry(newId(1)), false, 'there is no such dead job')
    fail = false
    assert.equal(await queue.retry(job.id), true)
    await until('it has run', () => attempts.length === 3)
    await until('it is gone', async () => (await queue.dead(10)).length === 0 && (await queue.depth()).running === 0)
    await working.stop(1_000)
  },
  'failures that are due again at once are tried again, and none is lost': async ({ queue }) => {
    const all = jobs(60)
    const jitterIsBack = installRandom({ ...systemRandom, fraction: () => 0 })
    try {
      const { attempts, working } = await record(queue, 4, async () => { throw new Error('no luck') })
      for (const job of all) await queue.enqueue([job])
      await until('all are dead', async () => (await queue.depth()).dead === all.length)
      assert.equal(attempts.length, 3 * all.length, 'each tried as often as it may')
      // The dead fail again while they are retried.
      for (const { id } of all) assert.equal(await queue.retry(id), true)
      await until('all are dead again', async () => attempts.length >= 6 * all.length && (await queue.depth()).dead === all.length)
      await working.stop(1_000)
    } finally {
      jitterIsBack()
    }
  },
  'two processes share the jobs, each goes to one': async ({ queue, reopen }) => {
    const all = jobs(200)
    const workers = [await record(queue, 4, () => sleep(2)), await record(await reopen(), 4, () => sleep(2))]
    await queue.enqueue(all)
    const ids = () => workers.flatMap(one => one.ids())
    await until('all have run', () => ids().length >= 200)
    await sleep(200)
    await Promise.all(workers.map(one => one.working.stop(1_000)))
    assert.equal(ids().length, 200, 'none ran twice')
    assert.deepEqual(new Set(ids()), new Set(all.map(job => job.id)))
    assert.ok(workers.every(one => one.attempts.length > 0), 'both worked')
  },
  'a worker gets the names it asks for only': async ({ queue }) => {
    await queue.enqueue([...jobs(1, { name: 'mail.other' }), ...jobs(1)])
    const { attempts, working } = await record(queue)
    await until('its own has run', () => attempts.length === 1)
    await sleep(100)
    await working.stop(1_000)
    assert.deepEqual(attempts.map(one => one.job.name), [name])
    assert.equal((await queue.depth()).waiting, 1)
  },
  'stop waits for the running job': async ({ queue }) => {
    await queue.enqueue(jobs(1))
    let finished = false
    const { attempts, working } = await record(queue, 1, async () => { await sleep(400); finished = true })
    await until('it runs', () => attempts.length === 1)
    await working.stop(5_000)
    assert.equal(finished, true)
    assert.deepEqual({ ...await queue.depth(), oldestAgeMs: 0 }, { waiting: 0, running: 0, scheduled: 0, dead: 0, oldestAgeMs: 0 })
  },
  'after graceMs stop aborts the signal, and the job runs again': async ({ queue, reopen }) => {
    await queue.enqueue(jobs(1, { attemptsMax: 1 }))
    const { attempts, working } = await record(queue, 1, () => new Promise(() => {}))
    await until('it runs', () => attempts.length === 1)
    const startedAtMs = monotonicMs()
    await working.stop(100)
    assert.ok(monotonicMs() - startedAtMs < 5_000, 'stop does not hang')
    assert.equal(attempts[0]!.signal.aborted, true)
    const next = await record(await reopen())
    await until('it runs again', () => next.attempts.length === 1)
    await next.working.stop(1_000)
  },
  'jobs outlive the process': async ({ queue, reopen }) => {
    await queue.enqueue(jobs(3))
    await queue.close()
    const { ids, working } = await record(await reopen())
    await until('all have run', () => ids().length === 3)
    await working.stop(1_000)
  },
  'close may be called twice, and what comes later is refused': async ({ queue }) => {
    await Promise.all([queue.close(), queue.close()])
    await assert.rejects(queue.enqueue(jobs(1)), { code: 'UNAVAILABLE' })
  },
  'a payload beyond the limit is refused': async ({ queue }) => {
    await assert.rejects(queue.enqueue(jobs(1, { payload: 'x'.repeat(300_000) })), { code: 'PAYLOAD_TOO_LARGE' })
  },
  'a restart of the engine loses no job': { fault: 'restart', run: subject => survives(subject, () => subject.restart!()) },
  'cut connections lose no job': { fault: 'cut', run: subject => survives(subject, () => subject.cut!()) },
  'the job of a dead worker goes to another': {
    fault: 'die',
    async run({ queue, die }) {
      const all = jobs(1, { attemptsMax: 1 })
      await queue.enqueue(all)
      await die!(name)
      const { ids, working } = await record(queue)
      await until('another one runs it', () => ids().length === 1, 15_000)
      await working.stop(1_000)
      assert.deepEqual(ids(), all.map(job => job.id))
    },
  },
})

async function survives({ queue }: QueueSubject, fault: () => Promise<void>): Promise<void> {
  const all = jobs(100, { attemptsMax: 8 })
  const done = new Set<string>()
  const { working } = await record(queue, 4, async ({ job, attempt }) => {
    await sleep(10)
    if (attempt === 1 && (job.payload as { n: number }).n % 3 === 0) throw new Error('a third fails at first')
    done.add(job.id)
  })
  await queue.enqueue(all.slice(0, 60))
  // So many that an engine has written down some of their ends, and perhaps not all that follows from them.
  await until('some have run', () => done.size > 20)
  await fault()
  for (let accepted = false; !accepted; await sleep(50)) accepted = await queue.enqueue(all.slice(60)).then(() => true, () => false)
  await until('all have run', () => done.size === 100, 30_000)
  await until('none is left', async () => { const { waiting, running, scheduled } = await queue.depth(); return waiting + running + scheduled === 0 }, 30_000)
  await working.stop(1_000)
}
