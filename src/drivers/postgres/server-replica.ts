/**
 * Makes a cluster a replica of a primary: a slot, a base backup into a draft, the role, and
 * then the draft takes the place of what was there, a primary of before for instance. A copy
 * that fails leaves nothing behind.
 */
import { chmod, chown, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Logger } from '../../base/log.ts'
import { monotonicMs } from '../../base/time.ts'
import { baseBackup } from './base-backup.ts'
import { refusalOf } from './refusal.ts'
import { ReplicationConnection } from './replication-connection.ts'
import type { ServerAddress } from './replication-connection.ts'
import type { ServerFiles } from './server-files.ts'
import { syncFolder, writeRole } from './server-role.ts'

export async function makeReplica(files: ServerFiles, name: string, primary: ServerAddress, log: Logger): Promise<void> {
  const startedMs = monotonicMs()
  const draft = `${files.cluster}.draft`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  if (files.owner) await chown(draft, files.owner.uid, files.owner.gid)
  const connection = new ReplicationConnection(primary)
  try {
    await connection.open()
    await makeSlot(connection, name)
    await baseBackup(connection, draft, files.owner)
    await writeRole(files, { is: 'replica', name, of: primary }, draft)
    await writePassword(files, primary.password)
    await replace(files.cluster, draft)
    await connection.close()
  } catch (error) {
    connection.cut()
    await rm(draft, { recursive: true, force: true })
    await dropSlot(primary, name)
    throw refusalOf(error)
  }
  log.info({ replica: name, primary: primary.port, ms: Math.round(monotonicMs() - startedMs) }, 'a replica has been made')
}

/** One of the same name may be left from the last time; it keeps the log from somewhere else. */
async function makeSlot(connection: ReplicationConnection, name: string): Promise<void> {
  const make = () => connection.rows(`CREATE_REPLICATION_SLOT ${name} PHYSICAL (RESERVE_WAL true)`)
  await make().catch(async (error: unknown) => {
    if ((error as { readonly code?: string }).code !== '42710') throw error
    await connection.rows(`DROP_REPLICATION_SLOT ${name} WAIT`)
    await make()
  })
}

async function dropSlot(primary: ServerAddress, name: string): Promise<void> {
  const connection = new ReplicationConnection(primary)
  await connection.open().then(() => connection.rows(`DROP_REPLICATION_SLOT ${name}`)).catch(() => {})
  await connection.close()
}

async function writePassword({ folder }: ServerFiles, password: string): Promise<void> {
  const file = path.join(folder, 'postgres.password')
  await writeFile(file, `${password}\n`, { mode: 0o600, flush: true })
  await chmod(file, 0o600)
}

async function replace(cluster: string, draft: string): Promise<void> {
  const before = `${cluster}.before`
  await rm(before, { recursive: true, force: true })
  await rename(cluster, before).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error })
  await rename(draft, cluster)
  await syncFolder(path.dirname(cluster))
  await rm(before, { recursive: true, force: true })
}
