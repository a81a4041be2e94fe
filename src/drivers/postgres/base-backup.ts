/**
 * A copy of a running cluster, taken over the replication protocol: the archive that the
 * server sends is unpacked as it comes, and every file is compared with the manifest, whose
 * own checksum is checked too. The log is not in it: a slot keeps it for the replica.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { chown, mkdir, open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { fault } from '../../base/errors.ts'
import type { ReplicationConnection } from './replication-connection.ts'
import type { Owner } from './server-files.ts'

/** What the server leaves out, or may: a cluster does not start without them. */
const emptyFolders = [
  'pg_wal', 'pg_wal/archive_status', 'pg_wal/summaries', 'pg_replslot', 'pg_tblspc', 'pg_stat', 'pg_stat_tmp',
  'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_subtrans',
]
const syncsAtOnce = 16
/** The first byte of each message says what it is. */
const kinds = { archive: 0x6e, manifest: 0x6d, data: 0x64 } as const

/** Into an empty folder, which is on disk when this resolves. */
export async function baseBackup(connection: ReplicationConnection, folder: string, owner: Owner | undefined): Promise<void> {
  const unpacking = new Unpacking(folder, owner)
  const manifest: Buffer[] = []
  let isManifest = false
  for await (const message of connection.copy(`BASE_BACKUP (LABEL 'tenfold', CHECKPOINT 'fast', WAL false, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')`)) {
    const [kind, content] = [(message as Buffer)[0], (message as Buffer).subarray(1)]
    if (kind === kinds.manifest) isManifest = true
    if (kind === kinds.archive && content[content.indexOf(0) + 1] !== 0) throw fault('UNAVAILABLE', 'the database has tablespaces outside its folder, which a replica made here cannot have: move their tables back (ALTER TABLE … SET TABLESPACE pg_default)')
    if (kind !== kinds.data) continue
    if (isManifest) manifest.push(content)
    else await unpacking.push(content)
  }
  compare(Buffer.concat(manifest), unpacking.files)
  for (const name of emptyFolders) await unpacking.makeFolder(name)
  await unpacking.sync()
}

interface Found { readonly bytes: number; readonly sha256: string }

/** Throws unless the files are those of the manifest, byte for byte. */
export function compare(manifest: Buffer, files: ReadonlyMap<string, Found>): void {
  const differs = (what: string) => fault('UNAVAILABLE', `the copy of the database is not what was sent: ${what}; it is thrown away`)
  const { Files: listed, 'Manifest-Checksum': checksum } = JSON.parse(manifest.toString()) as { readonly Files: readonly { readonly Path: string; readonly Size: number; readonly Checksum: string }[]; readonly 'Manifest-Checksum': string }
  const covered = manifest.subarray(0, manifest.lastIndexOf('"Manifest-Checksum"'))
  if (createHash('sha256').update(covered).digest('hex') !== checksum) throw differs('its manifest is damaged')
  for (const { Path: name, Size: bytes, Checksum: sha256 } of listed) {
    const found = files.get(name)
    if (found?.bytes !== bytes || found.sha256 !== sha256) throw differs(`${name} ${found ? 'differs' : 'is missing'}`)
  }
}

interface OpenFile { readonly name: string; readonly handle: FileHandle; readonly hash: Hash; readonly bytes: number; left: number }

const blockBytes = 512
const field = (header: Buffer, from: number, to: number) => header.toString('utf8', from, to).replace(/\0.*$/s, '')

/** A ustar archive on its way to disk: Postgres writes files and folders only, with names of at most 255 bytes. */
class Unpacking {
  readonly files = new Map<string, Found>()
  readonly #folder: string
  readonly #owner: Owner | undefined
  readonly #folders = new Set<string>([''])
  #rest = Buffer.alloc(0)
  #file: OpenFile | null = null
  #padding = 0

  constructor(folder: string, owner: Owner | undefined) {
    this.#folder = folder
    this.#owner = owner
  }

  async push(bytes: Buffer): Promise<void> {
    let at = 0
    const all = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    for (;;) {
      if (this.#file) at += await this.#write(this.#file, all.subarray(at))
      if (this.#file) break
      const skipped = Math.min(this.#padding, all.length - at)
      this.#padding -= skipped
      at += skipped
      if (this.#padding > 0 || all.length - at < blockBytes) break
      await this.#begin(all.subarray(at, at + blockBytes))
      at += blockBytes
    }
    this.#rest = Buffer.from(all.subarray(at))
  }

  async #begin(header: Buffer): Promise<void> {
    // Blocks of nothing end an archive.
    if (header[0] === 0) return
    const prefix = field(header, 345, 500)
    const name = path.posix.normalize(`${prefix ? `${prefix}/` : ''}${field(header, 0, 100)}`).replace(/\/$/, '')
    if (name.startsWith('..') || path.isAbsolute(name)) throw fault('UNAVAILABLE', `the copy of the database has a file outside its folder, ${name}`)
    const type = String.fromCharCode(header[156]!)
    if (type === '5') return this.makeFolder(name)
    if (type !== '0' && type !== '\0') throw fault('UNAVAILABLE', `the database has the link ${name}, which a replica made here cannot have`)
    const bytes = Number.parseInt(field(header, 124, 136), 8)
    await this.makeFolder(path.posix.dirname(name))
    const handle = await open(path.join(this.#folder, name), 'w', 0o600)
    if (this.#owner) await handle.chown(this.#owner.uid, this.#owner.gid)
    this.#file = { name, handle, hash: createHash('sha256'), bytes, left: bytes }
    this.#padding = (blockBytes - bytes % blockBytes) % blockBytes
    if (bytes === 0) await this.#write(this.#file, Buffer.alloc(0))
  }

  async #write(file: OpenFile, bytes: Buffer): Promise<number> {
    const part = bytes.subarray(0, file.left)
    for (let at = 0; at < part.length;) at += (await file.handle.write(part, at)).bytesWritten
    file.hash.update(part)
    file.left -= part.length
    if (file.left > 0) return part.length
    await file.handle.close()
    this.files.set(file.name, { bytes: file.bytes, sha256: file.hash.digest('hex') })
    this.#file = null
    return part.length
  }

  async makeFolder(name: string): Promise<void> {
    if (name === '.' || this.#folders.has(name)) return
    await this.makeFolder(path.posix.dirname(name))
    await mkdir(path.join(this.#folder, name), { recursive: true, mode: 0o700 })
    if (this.#owner) await chown(path.join(this.#folder, name), this.#owner.uid, this.#owner.gid)
    this.#folders.add(name)
  }

  /** Several at once share the flushes of the file system. */
  async sync(): Promise<void> {
    const names = [...this.files.keys(), ...process.platform === 'win32' ? [] : this.#folders]
    const lane = async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const handle = await open(path.join(this.#folder, name), 'r')
        await handle.sync().finally(() => handle.close())
      }
    }
    await Promise.all(Array.from({ length: syncsAtOnce }, lane))
  }
}
