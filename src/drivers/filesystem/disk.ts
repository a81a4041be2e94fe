/**
 * The few things the blobs driver does to a disk, apart, so that a test can lose power
 * between any two of them.
 */
import { constants } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

export interface Disk {
  create(file: string): Promise<FileHandle>
  append(handle: FileHandle, bytes: Uint8Array): Promise<void>
  /** What was written is on disk when it resolves. */
  sync(handle: FileHandle): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(file: string): Promise<void>
  /** True when the folder is new. Its parent must exist. */
  makeFolder(folder: string): Promise<boolean>
  /** The names in the folder are on disk when it resolves. */
  syncFolder(folder: string): Promise<void>
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

export const systemDisk: Disk = {
  create: file => open(file, 'wx', 0o600),
  async append(handle, bytes) { await handle.writeFile(bytes) },
  sync: handle => handle.sync(),
  rename,
  remove: file => rm(file),
  makeFolder: folder => mkdir(folder, { mode: 0o700 }).then(() => true, (error: unknown) => {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }),
  async syncFolder(folder) {
    // Windows opens no folders; NTFS journals names by itself.
    if (process.platform === 'win32') return
    const handle = await open(folder, constants.O_RDONLY)
    try { await handle.sync() } finally { await handle.close() }
  },
}
