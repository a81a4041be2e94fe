/** A deadline ends what hangs, once, and tells who measures before who waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../src/base/time.ts'
import { Deadline } from '../src/base/deadline.ts'

const hangs = () => new Promise<string>(() => {})

function observed() {
  const seen: unknown[] = []
  return { seen, observer: { succeeded: (value: unknown) => { seen.push(value) }, failed: (error: unknown) => { seen.push((error as { code: string }).code) } } }
}

test('work that hangs is over at its deadline, and what comes later is nobody\'s', async () => {
  const { seen, observer } = observed()
  const work = Promise.withResolvers<string>()
  const deadline = new Deadline(60)
  const { signal } = deadline
  await assert.rejects(deadline.race(work.promise, observer), { code: 'DEADLINE_EXCEEDED' })
  assert.equal(signal.aborted, true)
  work.resolve('late')
  await sleep(10)
  assert.deepEqual(seen, ['DEADLINE_EXCEEDED'])
})

test('the observer is told before who waits', async () => {
  const { seen, observer } = observed()
  assert.equal(await new Deadline(1_000).race(Promise.resolve('done'), observer).then(value => `${value} after ${seen.length}`), 'done after 1')
  await assert.rejects(new Deadline(1_000).race(Promise.reject(Object.assign(new Error('no'), { code: 'CONFLICT' })), observer), /no/)
  assert.deepEqual(seen, ['done', 'CONFLICT'])
})

test('a part that ends in time leaves the whole its deadline', async () => {
  const deadline = new Deadline(60)
  const whole = deadline.race((async () => {
    assert.equal(await deadline.race(Promise.resolve('part')), 'part')
    return hangs()
  })())
  await assert.rejects(Promise.race([whole, sleep(1_000)]), { code: 'DEADLINE_EXCEEDED' })
  // Negative control: without a deadline it would still hang.
  assert.equal(await Promise.race([hangs(), sleep(150).then(() => 'hangs')]), 'hangs')
})
