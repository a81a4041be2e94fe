/** What every store of blobs must keep: src/ports/blobs.ts. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { isTenfoldError } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import type { BlobRange, Blobs } from '../ports/blobs.ts'
import { suite } from './check.ts'

/** A store whose power fails after so many steps. */
export interface PowerSubject {
  readonly blobs: Blobs
  /** From now on the disk takes so many steps and no more: what comes then never returns. */
  cutAfter(steps: number): void
  readonly cut: Promise<void>
  /** What a store on the same disk finds afterwards; `names` says which half of what was not synced has survived. */
  restored(names: 'kept' | 'lost'): Promise<Blobs>
}

export interface BlobsSubject {
  readonly blobs: Blobs
  reopen(): Promise<Blobs>
  power(): Promise<PowerSubject>
}

const type = 'image/png'
const mebibyte = 1_048_576
const options = { type, bytesMax: 4 * mebibyte }

async function* chunks(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part
}

/** Gives half, waits for the turn, then goes on or breaks. */
async function* half(text: string, turn: Promise<void>, breaks = false): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text.slice(0, text.length / 2))
  await turn
  if (breaks) throw new Error('the sender has gone')
  yield Buffer.from(text.slice(text.length / 2))
}

async function textOf(blobs: Blobs, key: string, range?: BlobRange): Promise<string | null> {
  const blob = await blobs.get(key, range)
  return blob && Buffer.concat(await blob.body.toArray()).toString()
}

const code = (work: Promise<unknown>): Promise<string | null> => work.then(() => null, (error: unknown) => isTenfoldError(error) ? error.code : String(error))

const badKeys = ['', '/', '..', '../x', 'a/../../x', 'a/..', '/etc/passwd', 'a//b', 'a/', './a', '.hidden', 'a/.b', 'A', 'ä', 'a\u0000b', 'a\\b', '..\\x', 'a b', '%2e%2e/x', 'c:x', 'x'.repeat(200), 'ab/'.repeat(300) + 'c']

export const blobsSuite = suite<BlobsSubject>('blobs', {
  'what was put is there, with its facts, also for the next start': async ({ blobs, reopen }) => {
    const put = await blobs.put('avatars/jane.png', chunks('ab', '', 'cd'), options)
    assert.deepEqual({ ...put, etag: typeof put.etag, storedAtMs: put.storedAtMs > 0 }, { key: 'avatars/jane.png', bytes: 4, type, etag: 'string', storedAtMs: true })
    for (const one of [blobs, await reopen()]) {
      const { facts, body } = (await one.get('avatars/jane.png'))!
      assert.deepEqual([await one.head('avatars/jane.png'), facts, Buffer.concat(await body.toArray()).toString()], [put, put, 'abcd'])
    }
  },
  'what is not there is null, and removing it false': async ({ blobs }) => {
    assert.deepEqual([await blobs.head('a/b'), await blobs.get('a/b'), await blobs.remove('a/b')], [null, null, false])
  },
  'nothing and much are blobs too': async ({ blobs }) => {
    await blobs.put('empty', chunks(), options)
    assert.deepEqual([(await blobs.head('empty'))?.bytes, await textOf(blobs, 'empty')], [0, ''])
    const much = Buffer.alloc(3 * mebibyte, 'tenfold ')
    await blobs.put('much', chunks(much.subarray(0, 7), much.subarray(7)), options)
    assert.ok(Buffer.concat(await (await blobs.get('much'))!.body.toArray()).equals(much))
  },
  'the ETag is of the content and its type': async ({ blobs }) => {
    const etag = async (key: string, text: string, as = type) => (await blobs.put(key, chunks(text), { ...options, type: as })).etag
    const one = await etag('one', 'same')
    assert.match(one, /^"[\x21\x23-\x7e]+"$/, 'strong')
    assert.deepEqual([await etag('two', 'same'), await etag('three', 'other') === one, await etag('four', 'same', 'image/gif') === one], [one, false, false])
  },
  'a key may follow from the content': async ({ blobs }) => {
    const sha256 = createHash('sha256').update('abc').digest('hex')
    const { key } = await blobs.put(digest => `by/${digest}`, chunks('a', 'bc'), options)
    assert.deepEqual([key, await textOf(blobs, key)], [`by/${sha256}`, 'abc'])
    assert.equal(await code(blobs.put(() => '../x', chunks('a'), options)), 'INVALID_INPUT')
  },
  'a key that is no safe path is refused everywhere': async ({ blobs }) => {
    for (const key of badKeys) {
      const codes = await Promise.all([blobs.put(key, chunks('x'), options), blobs.head(key), blobs.get(key), blobs.remove(key)].map(code))
      assert.deepEqual(codes, Array.from({ length: 4 }, () => 'INVALID_INPUT'), JSON.stringify(key))
    }
    assert.deepEqual(await blobs.list('', { limit: 10 }), [])
  },
  'a key may be the beginning of another': async ({ blobs }) => {
    const keys = ['a', 'a/b', 'a/b/c', 'a.blob', 'a.blob/x', 'a.d', 'a.d/x', 'a.d.blob/d.d']
    for (const key of keys) await blobs.put(key, chunks(key), options)
    for (const key of keys) assert.equal(await textOf(blobs, key), key)
    await blobs.remove('a')
    assert.deepEqual([await blobs.head('a'), await textOf(blobs, 'a/b')], [null, 'a/b'])
  },
  'more than the limit is refused, and what was there stays': async ({ blobs }) => {
    await blobs.put('k', chunks('old'), options)
    assert.equal(await code(blobs.put('k', chunks('12345', '6'), { type, bytesMax: 5 })), 'PAYLOAD_TOO_LARGE')
    assert.equal(await textOf(blobs, 'k'), 'old')
    await blobs.put('k', chunks('12345'), { type, bytesMax: 5 })
    assert.equal(await textOf(blobs, 'k'), '12345')
  },
  'a put that is not finished shows nothing, and one that breaks leaves nothing': async ({ blobs, reopen }) => {
    await blobs.put('k', chunks('old'), options)
    const turn = Promise.withResolvers<void>()
    const [replacing, breaking] = [blobs.put('k', half('new content', turn.promise), options), code(blobs.put('n', half('never', turn.promise, true), options))]
    await sleep(30)
    for (const one of [blobs, await reopen()]) {
      assert.deepEqual([await textOf(one, 'k'), await one.head('n'), (await one.list('', { limit: 10 })).map(({ key }) => key)], ['old', null, ['k']])
    }
    turn.resolve()
    await replacing
    assert.match((await breaking)!, /the sender has gone/)
    assert.deepEqual([await textOf(blobs, 'k'), await blobs.head('n')], ['new content', null])
  },
  'of puts at the same time one wins whole': async ({ blobs }) => {
    const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(50_000 + index))
    await Promise.all(texts.map(text => blobs.put('deep/er/k', chunks(text.slice(0, 9), text.slice(9)), options)))
    const { facts, body } = (await blobs.get('deep/er/k'))!
    const text = Buffer.concat(await body.toArray()).toString()
    assert.ok(texts.includes(text) && facts.bytes === text.length)
  },
  'a reader keeps the blob it began with': async ({ blobs }) => {
    const old = 'o'.repeat(mebibyte)
    for (const change of [() => blobs.put('k', chunks('new'), options), () => blobs.remove('k')]) {
      await blobs.put('k', chunks(old), options)
      const { body } = (await blobs.get('k'))!
      await change()
      assert.ok(Buffer.concat(await body.toArray()).toString() === old)
    }
  },
  'a range is cut at the end': async ({ blobs }) => {
    await blobs.put('k', chunks('0123456789'), options)
    const ranges: [BlobRange, string][] = [[{ offset: 0, bytes: 1 }, '0'], [{ offset: 9, bytes: 1 }, '9'], [{ offset: 3, bytes: 4 }, '3456'], [{ offset: 8, bytes: 99 }, '89'], [{ offset: 10, bytes: 1 }, ''], [{ offset: 99, bytes: 1 }, ''], [{ offset: 4, bytes: 0 }, ''], [{ offset: 0, bytes: 10 }, '0123456789']]
    for (const [range, text] of ranges) assert.equal(await textOf(blobs, 'k', range), text, JSON.stringify(range))
    const unread = (await blobs.get('k'))!
    unread.body.destroy()
    assert.equal(await textOf(blobs, 'k'), '0123456789')
  },
  'list gives keys by prefix, in order, in pages': async ({ blobs }) => {
    const keys = ['a', 'a-b', 'a.b', 'a/a', 'a/b/c', 'a/b/d', 'a0', 'ab/c', 'b']
    for (const key of keys.toReversed()) await blobs.put(key, chunks(key), options)
    const list = async (prefix: string, limit = 100, after?: string) => (await blobs.list(prefix, { limit, after })).map(({ key }) => key)
    assert.deepEqual(await list(''), keys.toSorted())
    assert.deepEqual([await list('a/'), await list('a/b'), await list('zz'), await list('ab')], [['a/a', 'a/b/c', 'a/b/d'], ['a/b/c', 'a/b/d'], [], ['ab/c']])
    const paged: string[] = []
    for (let page = await list('', 2); page.length > 0; page = await list('', 2, page.at(-1))) paged.push(...page)
    assert.deepEqual(paged, keys.toSorted())
  },
  'what was acknowledged survives a power cut, and nothing is there in halves': { fault: 'power', async run({ power }) {
    for (const names of ['kept', 'lost'] as const) {
      for (let steps = 0, done = false; !done; steps++) {
        const { blobs, cutAfter, cut, restored } = await power()
        await blobs.put('k/there', chunks('old'), options)
        cutAfter(steps)
        const work = (async () => {
          await blobs.put('k/there', chunks('new', ' content'), options)
          await blobs.put('other/place/k', chunks('other'), options)
          return true
        })()
        let replaced = false
        void (async () => { await blobs.put('x/acknowledged', chunks('x'), options); replaced = true })()
        done = await Promise.race([work, cut.then(() => false)])
        const after = await restored(names)
        const [there, other, acknowledged] = [await textOf(after, 'k/there'), await textOf(after, 'other/place/k'), await textOf(after, 'x/acknowledged')]
        const how = `${names} after ${steps} steps: ${there}, ${other}, ${acknowledged}`
        assert.ok(there === 'old' || there === 'new content', how)
        assert.ok(other === null || other === 'other', how)
        if (done) assert.deepEqual([there, other], ['new content', 'other'], how)
        if (replaced) assert.equal(acknowledged, 'x', how)
      }
    }
  } },
})
