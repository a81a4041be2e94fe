/** Copies of this checkout, for tests of where it lies and who runs it: the files that Git knows, and what is installed. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, cp, lchown, mkdir, readFile, readdir, readlink, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '../..')

export interface CheckoutOptions {
  /** Entries of node_modules that are copied; of the rest a link does. */
  readonly copied?: readonly string[]
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/** The copy's node_modules is a folder of its own, so that the packages of the checkout itself are the copy's. */
export async function copyCheckout(folder: string, { copied = [], owner }: CheckoutOptions = {}): Promise<void> {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).trim().split('\n')
  for (const file of files) await cp(path.join(root, file), path.join(folder, file)).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error })
  const modules = path.join(folder, 'node_modules')
  await mkdir(modules)
  for (const entry of await readdir(path.join(root, 'node_modules'), { withFileTypes: true })) {
    const from = path.join(root, 'node_modules', entry.name)
    const to = path.join(modules, entry.name)
    if (entry.isSymbolicLink()) await symlink(await readlink(from), to)
    else if (copied.includes(entry.name)) await cp(from, to, { recursive: true, verbatimSymlinks: true })
    else if (!entry.name.startsWith('.')) await symlink(from, to)
  }
  const digest = createHash('sha256').update(await readFile(path.join(folder, 'package-lock.json'))).digest('hex')
  await writeFile(path.join(modules, '.tenfold-installed'), digest)
  await chmod(folder, 0o755)
  if (!owner) return
  await lchown(folder, owner.uid, owner.gid)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) await lchown(path.join(entry.parentPath, entry.name), owner.uid, owner.gid)
}
