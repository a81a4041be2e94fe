/**
 * Which server of a group is the primary, and the how-manieth: written and on disk before a
 * replica is promoted, so that whoever goes on after a crash finishes that, and never starts
 * a primary of before as one. Only the holder of the data folder's lock writes it.
 */
import { open, readFile, rename } from 'node:fs/promises'
import path from 'node:path'
import { syncFolder } from './server-role.ts'

export interface GroupState {
  /** Grows with each promotion. */
  readonly epoch: number
  /** 0 is the server that stands alone without replicas. */
  readonly primary: number
}

const fileOf = (dataFolder: string): string => path.join(dataFolder, 'replication.json')

export async function readGroupState(dataFolder: string): Promise<GroupState> {
  const text = await readFile(fileOf(dataFolder), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return '{ "epoch": 0, "primary": 0 }'
  })
  return JSON.parse(text) as GroupState
}

export async function writeGroupState(dataFolder: string, state: GroupState): Promise<void> {
  const draft = `${fileOf(dataFolder)}.draft`
  const handle = await open(draft, 'w')
  await handle.writeFile(`${JSON.stringify(state)}\n`)
  await handle.sync()
  await handle.close()
  await rename(draft, fileOf(dataFolder))
  await syncFolder(dataFolder)
}

/** Of one server: the data of the first lie where they would without replicas. */
export const memberFolder = (dataFolder: string, index: number): string => index === 0 ? dataFolder : path.join(dataFolder, 'replicas', String(index))
