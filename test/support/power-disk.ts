/**
 * A disk whose power can fail: it works on a real folder, and remembers what of it was
 * synced. `image` writes what would be found afterwards into another folder.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { systemDisk } from '../../src/drivers/filesystem/disk.ts'
import type { Disk } from '../../src/drivers/filesystem/disk.ts'

/** A file or a folder; content is what was synced of a file. */
interface Node { readonly isFolder: boolean; content: Buffer; readonly path: { now: string } }

export class PowerDisk implements Disk {
  readonly #live = new Map<string, Node>()
  readonly #synced = new Map<string, Node>()
  readonly #handles = new Map<FileHandle, Node>()
  readonly #lost = Promise.withResolvers<void>()
  #stepsLeft = Infinity

  /** Resolves when the power has failed. */
  get cut(): Promise<void> { return this.#lost.promise }
  cutAfter(steps: number): void { this.#stepsLeft = steps }

  async #step(): Promise<void> {
    if (this.#stepsLeft-- > 0) return
    this.#lost.resolve()
    await new Promise(() => {})
  }

  async create(file: string) {
    await this.#step()
    const handle = await systemDisk.create(file)
    if (this.#stepsLeft < 0) { await handle.close(); await new Promise(() => {}) }
    const node: Node = { isFolder: false, content: Buffer.alloc(0), path: { now: file } }
    this.#live.set(file, node)
    this.#handles.set(handle, node)
    return handle
  }

  async append(handle: Parameters<Disk['append']>[0], bytes: Uint8Array): Promise<void> {
    await this.#step()
    await systemDisk.append(handle, bytes)
  }

  async sync(handle: Parameters<Disk['sync']>[0]): Promise<void> {
    await this.#step()
    const node = this.#handles.get(handle)!
    node.content = readFileSync(node.path.now)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step()
    await systemDisk.rename(from, to)
    const node = this.#live.get(from)!
    this.#live.delete(from)
    this.#live.set(to, node)
    node.path.now = to
  }

  async remove(file: string): Promise<void> {
    await this.#step()
    await systemDisk.remove(file)
    this.#live.delete(file)
  }

  async makeFolder(folder: string): Promise<boolean> {
    await this.#step()
    const isNew = await systemDisk.makeFolder(folder)
    if (isNew) this.#live.set(folder, { isFolder: true, content: Buffer.alloc(0), path: { now: folder } })
    return isNew
  }

  async syncFolder(folder: string): Promise<void> {
    await this.#step()
    const isIn = (one: string) => path.dirname(one) === folder
    for (const one of this.#synced.keys()) if (isIn(one) && !this.#live.has(one)) this.#synced.delete(one)
    for (const [one, node] of this.#live) if (isIn(one)) this.#synced.set(one, node)
  }

  /** Names that were not synced may have survived all the same, or not; content that was not synced never has. */
  async image(from: string, to: string, names: 'kept' | 'lost'): Promise<void> {
    // Of puts that will never go on.
    for (const handle of this.#handles.keys()) await handle.close().catch(() => {})
    const nodes = names === 'kept' ? this.#live : this.#synced
    mkdirSync(to, { recursive: true })
    for (const [at, node] of [...nodes].sort(([one], [other]) => one < other ? -1 : 1)) {
      const copy = path.join(to, path.relative(from, at))
      if (!path.dirname(at).startsWith(from) || (path.dirname(at) !== from && !nodes.has(path.dirname(at)))) continue
      if (node.isFolder) mkdirSync(copy, { recursive: true })
      else writeFileSync(copy, node.content)
    }
  }
}
