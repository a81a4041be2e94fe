/**
 * The blobs port on a folder. A blob is one file: its bytes, then a line of JSON with its
 * facts, then the length of that line, so that one rename makes all of it appear.
 *
 *   draft: write ─▶ fsync ─▶ rename over the key's file ─▶ fsync the folder ─▶ resolve
 *
 * A segment of a key becomes a folder `name.d`, the last one a file `name.blob`: a key may
 * be the beginning of another.
 */
import { createHash } from 'node:crypto'
import { access, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { fault } from '../../base/errors.ts'
import { randomHex } from '../../base/random.ts'
import { now } from '../../base/time.ts'
import { isBlobKey } from '../../ports/blobs.ts'
import type { BlobFacts, BlobKey, BlobRange, Blobs, PutOptions } from '../../ports/blobs.ts'
import { systemDisk } from './disk.ts'
import type { Disk } from './disk.ts'

const fileEnd = '.blob'
const folderEnd = '.d'
const lengthBytes = 6
const trailerBytesMax = 4_096
const draftAgeMsMax = 86_400_000

export interface FilesystemBlobsOptions {
  readonly folder: string
  readonly disk?: Disk
}

export function openFilesystemBlobs({ folder, disk = systemDisk }: FilesystemBlobsOptions): Blobs {
  const root = path.join(folder, 'objects')
  const drafts = path.join(folder, 'drafts')
  const folders = new Folders(disk, root)
  const fileOf = (key: string): string => {
    if (!isBlobKey(key)) throw fault('INVALID_INPUT', `'${key.slice(0, 100)}' is no key of a blob: lower-case segments of a-z, 0-9, '.', '_' and '-', joined by '/'`)
    const segments = key.split('/')
    return path.join(root, ...segments.slice(0, -1).map(one => one + folderEnd), segments.at(-1)! + fileEnd)
  }
  return {
    async open() {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      for (const one of [root, drafts]) await disk.makeFolder(one)
      await disk.syncFolder(folder)
      await sweep(drafts)
    },
    async close() {},
    put: (key, source, options) => put(disk, { folders, drafts, fileOf }, key, source, options),
    async head(key) {
      const opened = await openBlob(fileOf(key), key)
      await opened?.handle.close()
      return opened?.facts ?? null
    },
    async get(key, range) {
      const opened = await openBlob(fileOf(key), key)
      if (!opened) return null
      const { handle, facts } = opened
      const body = Readable.from(bytesOf(handle, facts, range), { objectMode: false })
      body.once('close', () => void handle.close().catch(() => {}))
      return { facts, body }
    },
    async remove(key) {
      const file = fileOf(key)
      try { await disk.remove(file) } catch (error) {
        if (isAbsent(error)) return false
        throw error
      }
      await disk.syncFolder(path.dirname(file))
      return true
    },
    async list(prefix, { limit, after = '' }) {
      const found: BlobFacts[] = []
      for await (const key of keysBelow(root, '', prefix, after)) {
        if (found.length >= limit) break
        const opened = await openBlob(fileOf(key), key)
        await opened?.handle.close()
        if (opened) found.push(opened.facts)
      }
      return found
    },
    healthy: () => access(root).then(() => true, () => false),
  }
}

interface Places { readonly folders: Folders; readonly drafts: string; fileOf(key: string): string }

async function put(disk: Disk, { folders, drafts, fileOf }: Places, key: BlobKey, source: AsyncIterable<Uint8Array>, { type, bytesMax }: PutOptions): Promise<BlobFacts> {
  if (typeof key === 'string') fileOf(key)
  const draft = path.join(drafts, `${now()}-${randomHex(8)}`)
  const handle = await disk.create(draft)
  try {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes > bytesMax) throw fault('PAYLOAD_TOO_LARGE', `more than ${bytesMax} bytes`)
      hash.update(chunk)
      await disk.append(handle, chunk)
    }
    const sha256 = hash.digest('hex')
    const name = typeof key === 'string' ? key : key(sha256)
    const file = fileOf(name)
    const facts: BlobFacts = { key: name, bytes, type, etag: etagOf(sha256, type), storedAtMs: now() }
    await disk.append(handle, trailerOf(facts))
    await disk.sync(handle)
    await handle.close()
    await folders.make(path.dirname(file))
    await disk.rename(draft, file)
    await disk.syncFolder(path.dirname(file))
    return facts
  } catch (error) {
    await handle.close().catch(() => {})
    await rm(draft, { force: true }).catch(() => {})
    throw error
  }
}

/** Folders of keys: made once, and on disk before anything is put into them. They are never removed. */
class Folders {
  readonly #disk: Disk
  readonly #made = new Map<string, Promise<void>>()

  constructor(disk: Disk, root: string) {
    this.#disk = disk
    this.#made.set(root, Promise.resolve())
  }

  make(folder: string): Promise<void> {
    let making = this.#made.get(folder)
    if (!making) {
      making = this.#make(folder)
      this.#made.set(folder, making)
      making.catch(() => this.#made.delete(folder))
    }
    return making
  }

  async #make(folder: string): Promise<void> {
    await this.make(path.dirname(folder))
    await this.#disk.makeFolder(folder)
    // Also when it was there: another process may have made it a moment ago.
    await this.#disk.syncFolder(path.dirname(folder))
  }
}

const etagOf = (sha256: string, type: string): string => `"${createHash('sha256').update(`${type}\n${sha256}`).digest('base64url').slice(0, 27)}"`

function trailerOf({ type, etag, storedAtMs, bytes }: BlobFacts): Buffer {
  const line = Buffer.from(`\n${JSON.stringify({ type, etag, storedAtMs, bytes })}\n`)
  if (line.length + lengthBytes > trailerBytesMax) throw fault('INVALID_INPUT', 'the type of the blob is too long')
  return Buffer.concat([line, Buffer.from(String(line.length).padStart(lengthBytes, '0'))])
}

async function openBlob(file: string, key: string): Promise<{ handle: FileHandle; facts: BlobFacts } | null> {
  let handle: FileHandle
  try { handle = await open(file, 'r') } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
  try {
    const { size } = await handle.stat()
    const tail = Buffer.alloc(Math.min(size, trailerBytesMax))
    await handle.read(tail, 0, tail.length, size - tail.length)
    const length = Number(tail.subarray(-lengthBytes).toString())
    const facts = JSON.parse(tail.subarray(-lengthBytes - length, -lengthBytes).toString()) as Omit<BlobFacts, 'key'>
    if (facts.bytes + length + lengthBytes !== size) throw new Error('its length is another one')
    return { handle, facts: { key, ...facts } }
  } catch (error) {
    await handle.close()
    throw new Error(`${file} is not a blob: somebody else wrote it`, { cause: error })
  }
}

const isAbsent = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')

async function* bytesOf(handle: FileHandle, facts: BlobFacts, range: BlobRange = { offset: 0, bytes: facts.bytes }): AsyncGenerator<Buffer> {
  const end = Math.min(facts.bytes, range.offset + range.bytes)
  for (let at = range.offset; at < end;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(65_536, end - at)), 0, undefined, at)
    if (bytesRead === 0) throw new Error(`${facts.key} became shorter while it was read`)
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** In order of keys. `/` sorts before letters and digits but behind `-` and `.`: names are compared as they stand in keys. */
async function* keysBelow(folder: string, before: string, prefix: string, after: string): AsyncGenerator<string> {
  const entries = (await readdir(folder).catch((error: unknown) => { if (isAbsent(error)) return []; throw error }))
    .map(name => before + (name.endsWith(folderEnd) ? `${name.slice(0, -folderEnd.length)}/` : name.slice(0, -fileEnd.length)))
    .sort()
  for (const key of entries) {
    if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue
    if (!key.endsWith('/')) { if (key.startsWith(prefix) && key > after) yield key } else if (after < key || after.startsWith(key)) {
      yield* keysBelow(path.join(folder, `${key.slice(before.length, -1)}${folderEnd}`), key, prefix, after)
    }
  }
}

/** Drafts of puts that a crash cut off; a younger one may be somebody's who is at it. */
async function sweep(drafts: string): Promise<void> {
  for (const name of await readdir(drafts)) {
    const file = path.join(drafts, name)
    const found = await stat(file).catch(() => null)
    if (found && now() - found.mtimeMs > draftAgeMsMax) await rm(file, { force: true })
  }
}
