/** What every broadcast driver must do. The subject opens two processes of one deployment. */
import assert from 'node:assert/strict'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Broadcast } from '../ports/broadcast.ts'
import { suite } from './check.ts'

export interface BroadcastSubject {
  readonly one: Broadcast
  /** Another process of the same deployment; the same object for a driver that stays within one. */
  readonly other: Broadcast
  /** Cuts the connections to the engine, without telling. Fault 'cut'. */
  cut?(): Promise<void>
}

interface Ear { readonly texts: string[]; gaps: number; stop(): void }

function listenOn(broadcast: Broadcast, topic = 'news'): Ear {
  const ear: Ear = { texts: [], gaps: 0, stop: () => {} }
  ear.stop = broadcast.listen(topic, { heard: text => { ear.texts.push(text) }, gap: () => { ear.gaps++ } })
  return ear
}

async function until(what: string, isSo: () => boolean, waitMs = 10_000): Promise<void> {
  const deadlineMs = monotonicMs() + waitMs
  while (!isSo()) {
    if (monotonicMs() > deadlineMs) assert.fail(`never: ${what}`)
    await sleep(5)
  }
}

export const broadcastSuite = suite<BroadcastSubject>('broadcast', {
  'every process hears a text, the sender too': async ({ one, other }) => {
    const [mine, theirs] = [listenOn(one), listenOn(other)]
    await one.send('news', 'Zürich 💡 a\nb')
    await until('both have heard', () => mine.texts.length > 0 && theirs.texts.length > 0)
    assert.deepEqual([mine.texts, theirs.texts], [['Zürich 💡 a\nb'], ['Zürich 💡 a\nb']])
  },
  'topics are apart, and a listener that left hears no more': async ({ one, other }) => {
    const [here, left, elsewhere] = [listenOn(other), listenOn(other), listenOn(other, 'weather')]
    left.stop()
    await one.send('weather', 'rain')
    await one.send('news', 'last')
    await until('the last was heard', () => here.texts.includes('last'))
    assert.deepEqual([here.texts, left.texts, elsewhere.texts], [['last'], [], ['rain']])
  },
  'order is kept, and equal texts are not made one': async ({ one, other }) => {
    const ear = listenOn(other)
    const wanted = Array.from({ length: 300 }, (_, index) => index % 3 === 0 ? 'same' : `text ${index}`)
    await Promise.all(wanted.map(text => one.send('news', text)))
    await until('all were heard', () => ear.texts.length >= wanted.length)
    assert.deepEqual(ear.texts, wanted)
  },
  'as much as it says it carries, and no more': async ({ one, other }) => {
    const ear = listenOn(other)
    const text = 'x'.repeat(one.bytesMax - 100)
    await one.send('news', text)
    await until('it was heard', () => ear.texts.length > 0)
    assert.equal(ear.texts[0], text)
    await assert.rejects(one.send('news', 'x'.repeat(one.bytesMax + 1)))
  },
  'it hears after open and not after close': async ({ one }) => {
    assert.equal(one.hearing, true)
    await one.close()
    await one.close()
    assert.equal(one.hearing, false)
  },
  'a lost connection is told as a gap, before anything that comes after it': {
    fault: 'cut',
    run: async ({ one, other, cut }) => {
      const ear = listenOn(other)
      await one.send('news', 'before')
      await until('the first was heard', () => ear.texts.length > 0)
      await cut!()
      await until('the gap was told', () => ear.gaps > 0)
      await until('both hear again', () => one.hearing && other.hearing)
      const gaps = ear.gaps
      await one.send('news', 'after')
      await until('the second was heard', () => ear.texts.includes('after'))
      assert.ok(gaps > 0 && ear.gaps === gaps)
    },
  },
})
