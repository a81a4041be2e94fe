/** A primary with replicas for a test: one group per test process, and what tests do to it. */
import { rm } from 'node:fs/promises'
import pg from 'pg'
import { silentLogger } from '../../src/base/log.ts'
import { randomHex } from '../../src/base/random.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { startPostgresGroup } from '../../src/drivers/postgres/server-group.ts'
import type { PostgresGroup, PostgresGroupOptions } from '../../src/drivers/postgres/server-group.ts'
import type { Member } from '../../src/drivers/postgres/server-member.ts'
import { newDataFolder } from './new-data.ts'

export interface TestGroup {
  readonly group: PostgresGroup
  readonly folder: string
  readonly primary: Member
  readonly replicas: readonly Member[]
  /** Runs statements as the owner; on the primary unless told otherwise. */
  sql<Row>(text: string, values?: readonly unknown[], member?: Member): Promise<Row[]>
  /** A database of its own on all servers. */
  scratch(): Promise<{ readonly url: string; close(): Promise<void> }>
  /** Replicas stop replaying what they receive, until told otherwise. */
  pause(members?: readonly Member[]): Promise<() => Promise<void>>
  /** Waits until so many replicas follow the primary. */
  following(count: number): Promise<void>
  close(): Promise<void>
}

export async function run<Row>(url: string, text: string, values: readonly unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try { return (await client.query(text, values as unknown[])).rows as Row[] } finally { await client.end().catch(() => {}) }
}

export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = 60_000): Promise<void> {
  const deadlineMs = monotonicMs() + withinMs
  while (!await holds()) {
    if (monotonicMs() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(10)
  }
}

export async function startTestGroup(options: Partial<PostgresGroupOptions> = {}): Promise<TestGroup> {
  const folder = options.dataFolder ?? await newDataFolder()
  const group = await startPostgresGroup({ dataFolder: folder, log: silentLogger, replicas: 2, synchronous: 1, ...options })
  const one: TestGroup = {
    group, folder,
    get primary() { return group.members[group.state.primary]! },
    get replicas() { return group.members.filter(member => member !== one.primary) },
    sql: (text, values, member = one.primary) => run(member.server!.url, text, values),
    async scratch() {
      const name = `scratch_${randomHex(6)}`
      await one.sql(`CREATE DATABASE ${name}`)
      const url = new URL(group.url)
      url.pathname = `/${name}`
      for (const member of one.replicas) await until(async () => (await one.sql('SELECT 1 FROM pg_database WHERE datname = $1', [name], member)).length === 1, 'the replica has the new database')
      return { url: url.href, close: async () => { await one.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) } }
    },
    async pause(members = one.replicas) {
      for (const member of members) await one.sql('SELECT pg_wal_replay_pause()', [], member)
      for (const member of members) await until(async () => (await one.sql<{ state: string }>('SELECT pg_get_wal_replay_pause_state() AS state', [], member))[0]!.state === 'paused', 'the replay pauses')
      return async () => { for (const member of members) await one.sql('SELECT pg_wal_replay_resume()', [], member) }
    },
    following: count => until(async () => (await one.sql(`SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'`)).length >= count, `${count} replicas follow`),
    async close() {
      await group.stop()
      for (const { files } of group.members) if (files.socketFolder) await rm(files.socketFolder, { recursive: true, force: true })
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  return one
}
