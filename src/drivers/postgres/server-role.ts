/**
 * What a cluster is in its group, written beside its own settings: a primary with the
 * replicas that a commit waits for, or a replica of a primary. In a file of its own, which
 * postgresql.conf includes, so that settings made with ALTER SYSTEM stay as they are.
 */
import { chown, open, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { ServerFiles } from './server-files.ts'
import type { ServerAddress } from './replication-connection.ts'
import type { Settings } from './server-settings.ts'

/** Waits for as many of these before it acknowledges; for none when `count` is 0. */
export interface Guard { readonly count: number; readonly names: readonly string[] }

export type ServerRole = { readonly is: 'primary'; readonly guard: Guard } | { readonly is: 'replica'; readonly name: string; readonly of: ServerAddress }

const roleFile = 'tenfold.conf'
const signalFile = 'standby.signal'
const include = `include_if_exists = '${roleFile}'`

/** What every server of a group has, primary or not: each may become the other. */
export const groupSettings: Settings = {
  hot_standby: 'on',
  // A long query on a replica neither fails nor holds replay up for long: the primary keeps what it reads.
  hot_standby_feedback: 'on',
  max_standby_streaming_delay: '1s',
  // The default of 5 s is how long a replica sleeps after its primary has died, before it can be promoted.
  wal_retrieve_retry_interval: '20ms',
  wal_receiver_status_interval: '1s',
  // A partner that has gone without a word is noticed.
  wal_receiver_timeout: '10s',
  wal_sender_timeout: '10s',
  // So much is there for a replica that follows another primary before its slot is.
  wal_keep_size: '256MB',
}

export const isStandby = (cluster: string): Promise<boolean> => stat(path.join(cluster, signalFile)).then(() => true, () => false)

export const guardText = ({ count, names }: Guard): string => count === 0 ? '' : `ANY ${count} (${names.map(name => `"${name}"`).join(', ')})`

function settingsOf(role: ServerRole): Settings {
  if (role.is === 'primary') return { synchronous_standby_names: guardText(role.guard) }
  const { host, port, user, password } = role.of
  // Passwords made here are hexadecimal: nothing to escape.
  return { primary_conninfo: `host=${host} port=${port} user=${user} password=${password} application_name=${role.name}`, primary_slot_name: role.name, synchronous_standby_names: '' }
}

/** Whole or not at all. It counts from the next start, or after a reload. */
export async function writeRole(files: ServerFiles, role: ServerRole, cluster = files.cluster): Promise<void> {
  const write = async (name: string, text: string) => {
    const [file, draft] = [path.join(cluster, name), path.join(cluster, `${name}.draft`)]
    await writeFile(draft, text, { mode: 0o600, flush: true })
    if (files.owner) await chown(draft, files.owner.uid, files.owner.gid)
    await rename(draft, file)
  }
  await write(roleFile, Object.entries(settingsOf(role)).map(([name, value]) => `${name} = '${value}'\n`).join(''))
  const settings = await readFile(path.join(cluster, 'postgresql.conf'), 'utf8')
  if (!settings.includes(include)) await write('postgresql.conf', `${settings}\n# What this server is in its group; written by Tenfold.\n${include}\n`)
  if (role.is === 'replica') await write(signalFile, '')
  await syncFolder(cluster)
}

export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
