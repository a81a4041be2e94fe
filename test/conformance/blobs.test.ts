/** The blobs in a folder against their suite, and stores with one fault each, which the suite must find. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { blobsSuite } from '../../src/conformance/blobs.ts'
import type { BlobsSubject } from '../../src/conformance/blobs.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { openFilesystemBlobs } from '../../src/drivers/filesystem/blobs.ts'
import type { Disk } from '../../src/drivers/filesystem/disk.ts'
import type { Blobs } from '../../src/ports/blobs.ts'
import { PowerDisk } from '../support/power-disk.ts'

interface Faults { wrap?(blobs: Blobs): Blobs; spoil?(disk: PowerDisk): Partial<Disk> }

function driver(name: string, { wrap = blobs => blobs, spoil }: Faults = {}): Driver<BlobsSubject> {
  return {
    name, faults: ['power'],
    async open() {
      const home = await mkdtemp(path.join(os.tmpdir(), 'tenfold-blobs-'))
      let number = 0
      const openIn = async (folder: string, disk?: Disk) => {
        const blobs = wrap(openFilesystemBlobs({ folder, disk }))
        await blobs.open()
        return blobs
      }
      const power: BlobsSubject['power'] = async () => {
        const folder = path.join(home, String(number++))
        const disk = new PowerDisk()
        const spoilt: Disk = Object.assign(Object.create(disk) as Disk, bound(disk), spoil?.(disk))
        return {
          blobs: await openIn(folder, spoilt), cut: disk.cut, cutAfter: steps => disk.cutAfter(steps),
          async restored(names) {
            const image = `${folder}-after`
            await disk.image(folder, image, names)
            return openIn(image)
          },
        }
      }
      const folder = path.join(home, 'blobs')
      return { subject: { blobs: await openIn(folder), reopen: () => openIn(folder), power }, close: () => rm(home, { recursive: true, force: true }) }
    },
  }
}

/** The methods of a disk, so that some can be replaced. */
const bound = (disk: PowerDisk): Disk => ({
  create: file => disk.create(file), append: (handle, bytes) => disk.append(handle, bytes), sync: handle => disk.sync(handle), rename: (from, to) => disk.rename(from, to),
  remove: file => disk.remove(file), makeFolder: folder => disk.makeFolder(folder), syncFolder: folder => disk.syncFolder(folder),
})

for (const one of verify(blobsSuite, driver('filesystem'))) test(one.name, { skip: one.skip }, one.run)

const failed = async (faults: Faults) => (await failures(verify(blobsSuite, driver('broken', faults)))).map(name => name.split(' · ')[2])
const survives = 'what was acknowledged survives a power cut, and nothing is there in halves'

test('a put that leaves out either sync is found', async () => {
  assert.deepEqual(await failed({ spoil: () => ({ sync: async () => {} }) }), [survives])
  assert.deepEqual(await failed({ spoil: () => ({ syncFolder: async () => {} }) }), [survives])
})

test('a put that renames before it has synced is found', async () => {
  const early = (disk: PowerDisk): Partial<Disk> => {
    let pending: (() => Promise<void>) | undefined
    return {
      sync: async handle => { pending = () => disk.sync(handle) },
      rename: async (from, to) => { await disk.rename(from, to); await pending?.() },
    }
  }
  assert.deepEqual(await failed({ spoil: early }), [survives])
})

test('a store that shows what is not finished, and one without a limit, are found', async () => {
  const early = (blobs: Blobs): Blobs => ({ ...blobs, async put(key, source, options) {
    const parts: Uint8Array[] = []
    for await (const part of source) {
      parts.push(part)
      if (typeof key === 'string') await blobs.put(key, (async function* () { yield* parts })(), { ...options, bytesMax: Infinity })
    }
    return blobs.put(key, (async function* () { yield* parts })(), { ...options, bytesMax: Infinity })
  } })
  const names = await failed({ wrap: early })
  for (const name of ['a put that is not finished shows nothing, and one that breaks leaves nothing', 'more than the limit is refused, and what was there stays']) assert.ok(names.includes(name), String(names))
})

test('no put leaves a draft, and a file of somebody else is not taken for a blob', async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-blobs-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const blobs = openFilesystemBlobs({ folder })
  await blobs.open()
  await blobs.put('k', (async function* () { yield Buffer.from('x') })(), { type: 'text/plain', bytesMax: 9 })
  await assert.rejects(blobs.put('k', (async function* () { yield Buffer.from('xxxxxxxxxx') })(), { type: 'text/plain', bytesMax: 9 }))
  assert.deepEqual(await readdir(path.join(folder, 'drafts')), [])
  await writeFile(path.join(folder, 'objects', 'k.blob'), 'cut short')
  await assert.rejects(blobs.get('k'), /somebody else wrote it/)
})
