/**
 * The claim of one deployment on its data folder (TENFOLD_DATA), so that a second start on
 * the same data is refused. A pid file, believed only while exactly that process lives:
 * its start time and the boot tell it from a later one with the same number.
 */
import { readFileSync } from 'node:fs'
import { link, mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fault } from '../../base/errors.ts'
import { randomHex } from '../../base/random.ts'

export interface DataFolderLock {
  /** Real path of the folder. */
  readonly folder: string
  /** Gives the folder free; a second call does nothing. */
  release(): Promise<void>
}

const attemptsMax = 5

interface Holder {
  readonly pid: number
  /** Boot and clock ticks since; null where the system does not tell. */
  readonly started: string | null
}

/** Claims the folder for this process, or throws DATA_FOLDER_IN_USE. */
export async function dataFolderLock(dataFolder: string): Promise<DataFolderLock> {
  await mkdir(dataFolder, { recursive: true })
  const folder = await realpath(dataFolder)
  const file = path.join(folder, 'tenfold.pid')
  const mine = JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Holder)
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    if (await claim(file, mine)) return { folder, release: () => release(file, mine) }
    const text = await readFile(file, 'utf8').catch(() => null)
    if (text === null) continue
    const holder = holderOf(text)
    if (holder && isLiving(holder)) throw inUse(folder, holder.pid)
    await discard(file, text)
  }
  throw fault('DATA_FOLDER_IN_USE', `several processes claim the data folder ${folder} at once: start one only`)
}

/** The living process that has claimed the folder, or null. Claims and changes nothing. */
export async function livingHolder(dataFolder: string): Promise<number | null> {
  const holder = holderOf(await readFile(path.join(dataFolder, 'tenfold.pid'), 'utf8').catch(() => ''))
  return holder && isLiving(holder) ? holder.pid : null
}

function inUse(folder: string, pid: number): Error {
  return fault('DATA_FOLDER_IN_USE', `the data folder ${folder} is used by the process ${pid}: stop that one (kill ${pid}), or give this start another folder (TENFOLD_DATA=/another/folder)`)
}

/** A link appears with its content or not at all, unlike a file that is created and then written. */
async function claim(file: string, text: string): Promise<boolean> {
  const draft = `${file}.${randomHex(6)}`
  await writeFile(draft, text, { flush: true })
  try {
    await link(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally { await rm(draft, { force: true }) }
}

/** Removes the file of a dead process; one that a quicker claimant wrote meanwhile is put back. */
async function discard(file: string, stale: string): Promise<void> {
  const aside = `${file}.${randomHex(6)}`
  if (!await rename(file, aside).then(() => true, () => false)) return
  if (await readFile(aside, 'utf8') !== stale) await link(aside, file).catch(() => {})
  await rm(aside, { force: true })
}

async function release(file: string, mine: string): Promise<void> {
  if (await readFile(file, 'utf8').catch(() => null) === mine) await rm(file, { force: true })
}

function holderOf(text: string): Holder | null {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Holder>
    return typeof pid === 'number' ? { pid, started: started ?? null } : null
  } catch { return null }
}

function isLiving(holder: Holder): boolean {
  try { process.kill(holder.pid, 0) } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return holder.started === null || startOf(holder.pid) === holder.started
}

/** Null also for a process that has ended and was not yet reaped. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in brackets, may hold blanks: fields are counted behind it. State is the first, the start the twentieth.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z') return null
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`
  } catch { return null }
}
