/**
 * Limits of processor time by the cgroups of Linux, version 1 or 2: a group for each process
 * that has a limit, with whatever that process starts. The groups lie below the one that this
 * process is in, so that a limit of the whole still holds for all.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fault } from './errors.ts'

export interface CpuGroup {
  /** Moves a process into it; what it starts from then on is in it too. One that has ended is no fault. */
  add(pid: number): void
  read(): CpuThrottling
  /** Forgets the group, once nothing is in it any more. */
  remove(): void
}

/** Since the group was made. */
export interface CpuThrottling {
  /** In which its processes had something to do, and those of them in which they were stopped. */
  readonly periods: number
  readonly throttled: number
}

/** What this process sees of its system; another in a test. */
export interface CgroupView { readonly platform: string; readonly mounts: string; readonly groups: string }

interface Hierarchy { readonly version: 1 | 2; readonly folder: string }

/**
 * A short period stops a process often and briefly, where the standard 100 ms would let requests wait
 * for 80 ms at a fifth of a core (decision 0030).
 */
const periodMicros = 10_000
/** The least that the kernel takes. */
const quotaMicrosMin = 1_000
/** Less than this starts no process in time. */
export const cpuCoresMin = 0.05

const here = (): CgroupView => ({
  platform: process.platform,
  mounts: process.platform === 'linux' ? readFileSync('/proc/self/mountinfo', 'utf8') : '',
  groups: process.platform === 'linux' ? readFileSync('/proc/self/cgroup', 'utf8') : '',
})

const refusal = (why: string, cause?: unknown) => fault('NOT_SUPPORTED', `the topology limits the processor time of processes (cpu), which takes cgroups of Linux that may be written to, and ${why}: start as root, or where the group of this process is delegated to its user (in a container: with its cgroups writable), or leave cpu out`, { cause })

/** What to do where nothing can be limited; null where it can. */
export function quotaMend(): string | null {
  try { new CpuQuotas('examination').close(); return null } catch (error) { return (error as Error).message }
}

export class CpuQuotas {
  readonly #hierarchy: Hierarchy

  /** `scope`: tells the groups of one owner from those of others; a data folder. Throws NOT_SUPPORTED where there can be none. */
  constructor(scope: string, view: CgroupView = here()) {
    const parent = parentGroup(view)
    const name = `tenfold-${createHash('sha256').update(scope).digest('hex').slice(0, 12)}`
    this.#hierarchy = { version: parent.version, folder: path.join(parent.folder, name) }
    try {
      make(this.#hierarchy.folder)
      if (parent.version === 2) enable(this.#hierarchy.folder)
      // What a killed owner has left.
      this.#sweep()
    } catch (error) { throw refusal(`${this.#hierarchy.folder} cannot be made (${(error as Error).message})`, error) }
  }

  /** A group of its own for the processes that share a limit, under a name that no other has now. */
  limit(name: string, cores: number): CpuGroup {
    const { version, folder: root } = this.#hierarchy
    const folder = path.join(root, name)
    make(folder)
    const period = Math.max(periodMicros, Math.ceil(quotaMicrosMin / cores))
    const quota = Math.round(cores * period)
    if (version === 2) set(folder, 'cpu.max', `${quota} ${period}`)
    else {
      // One that is left may have a quota that is too much for the new period.
      set(folder, 'cpu.cfs_quota_us', '-1')
      set(folder, 'cpu.cfs_period_us', String(period))
      set(folder, 'cpu.cfs_quota_us', String(quota))
    }
    return {
      add: pid => {
        try { set(folder, 'cgroup.procs', String(pid)) } catch (error) { if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error }
      },
      read: () => throttlingIn(readFileSync(path.join(folder, 'cpu.stat'), 'utf8')),
      remove: () => remove(folder),
    }
  }

  /** Those with somebody in them stay. */
  close(): void {
    this.#sweep()
    remove(this.#hierarchy.folder)
  }

  #sweep(): void {
    const { folder } = this.#hierarchy
    for (const entry of existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []) if (entry.isDirectory()) remove(path.join(folder, entry.name))
  }
}

const set = (folder: string, name: string, text: string): void => writeFileSync(path.join(folder, name), text)
const make = (folder: string): void => { mkdirSync(folder, { recursive: true }) }

/** The kernel refuses while somebody is in it; the next owner removes it then. */
function remove(folder: string): void {
  try { rmdirSync(folder) } catch { /* See above. */ }
}

function throttlingIn(text: string): CpuThrottling {
  const count = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { periods: count('nr_periods'), throttled: count('nr_throttled') }
}

/** The group under which those with limits may lie. */
function parentGroup(view: CgroupView): Hierarchy {
  if (view.platform !== 'linux') throw refusal(`this is ${view.platform}`)
  const mounts = view.mounts.split('\n').flatMap(mountIn)
  const old = mounts.find(one => one.type === 'cgroup' && one.options.split(',').includes('cpu'))
  if (old) return { version: 1, folder: folderOf(old, groupIn(view.groups, controllers => controllers.split(',').includes('cpu'))) }
  const unified = mounts.find(one => one.type === 'cgroup2')
  if (!unified) throw refusal('none are mounted here')
  // A group with processes in it, as our own is, cannot have limited groups below: the nearest one above that can.
  let folder = folderOf(unified, groupIn(view.groups, controllers => controllers === ''))
  for (;;) {
    if (offers(folder) && tryEnable(folder)) return { version: 2, folder }
    if (path.relative(unified.at, folder) === '') throw refusal(`no group from that of this process up to ${unified.at} can hand down the controller cpu`)
    folder = path.dirname(folder)
  }
}

interface Mount { readonly at: string; readonly root: string; readonly type: string; readonly options: string }

/** proc(5): id, parent, device, root, mount point, options, any number of tags, a dash, type, source, super options. */
function mountIn(line: string): Mount[] {
  const [before, after] = line.split(' - ')
  const [, , , root, at] = (before ?? '').split(' ')
  const [type, , options] = (after ?? '').split(' ')
  return root && at && type && options ? [{ root, at, type, options }] : []
}

function groupIn(groups: string, isWanted: (controllers: string) => boolean): string {
  const line = groups.split('\n').map(one => one.split(':')).find(([, controllers, group]) => group !== undefined && isWanted(controllers!))
  return line?.slice(2).join(':') ?? '/'
}

/** Where only a part of the tree is mounted, as in a container, the path may count from elsewhere. */
function folderOf({ at, root }: Mount, group: string): string {
  const folder = path.join(at, root !== '/' && group.startsWith(root) ? group.slice(root.length) : group)
  return existsSync(folder) ? folder : at
}

const lists = (file: string): boolean => readFileSync(file, 'utf8').trim().split(/\s+/).includes('cpu')
const offers = (folder: string): boolean => lists(path.join(folder, 'cgroup.controllers'))

function enable(folder: string): void {
  if (!lists(path.join(folder, 'cgroup.subtree_control'))) set(folder, 'cgroup.subtree_control', '+cpu')
}

function tryEnable(folder: string): boolean {
  try { enable(folder); return true } catch { return false }
}
