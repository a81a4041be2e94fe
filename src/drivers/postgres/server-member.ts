/** One server of a group, as its keeper sees it: its files, its process, and what it says of itself. */
import { existsSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import type { CpuGroup } from '../../base/cpu-quota.ts'
import { fault } from '../../base/errors.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import { memberFolder } from './group-state.ts'
import { parseLsn } from './log-position.ts'
import { makeReplica } from './server-replica.ts'
import type { ServerAddress } from './replication-connection.ts'
import { choosePort } from './server-cluster.ts'
import { prepareServerFiles } from './server-files.ts'
import type { ServerFiles } from './server-files.ts'
import { postmasterOf } from './server-process.ts'
import { groupSettings, guardText, isStandby, writeRole } from './server-role.ts'
import type { Guard, ServerRole } from './server-role.ts'
import { startPostgresServer } from './server.ts'
import type { PostgresServer, PostgresServerOptions } from './server.ts'

export interface MemberOptions extends Pick<PostgresServerOptions, 'dataFolder' | 'machine' | 'settings' | 'log'> {
  /** Makes the group that limits a server's processor time. */
  readonly limit?: ((name: string) => CpuGroup) | undefined
}

const askMs = 2_000
const applyMs = 10_000

export class Member {
  readonly index: number
  /** Of its slot and its connection, and what the primary waits for. */
  readonly name: string
  readonly #options: PostgresServerOptions
  #files: ServerFiles | undefined
  server: PostgresServer | null = null
  #client: Promise<pg.Client> | null = null
  port = 0

  constructor(index: number, options: MemberOptions) {
    this.index = index
    this.name = `tenfold_${index}`
    const { dataFolder, machine, settings, log, limit } = options
    this.#options = { dataFolder: memberFolder(dataFolder, index), machine, settings: { ...groupSettings, ...settings }, log, group: limit?.(`postgres-${index}`) }
  }

  /** Before anything else: where it lies, and the port it will have. */
  async prepare(): Promise<void> {
    await mkdir(this.#options.dataFolder, { recursive: true })
    this.#files = await prepareServerFiles(this.#options.dataFolder, this.#options.log)
    this.port = (await postmasterOf(this.#files.cluster))?.port ?? (await choosePort(this.#files, undefined)).port
  }

  get files(): ServerFiles { return this.#files! }
  get isMade(): boolean { return existsSync(this.files.cluster) }
  isStandby(): Promise<boolean> { return isStandby(this.files.cluster) }
  addressWith(password: string): ServerAddress { return { host: '127.0.0.1', port: this.port, user: 'postgres', password } }

  /** Starts or adopts it as what its files say it is. A replica is started again when it dies; a primary's end is for its keeper to judge. */
  async start(is: ServerRole['is']): Promise<PostgresServer> {
    this.server = await startPostgresServer({ ...this.#options, watch: is === 'replica' })
    this.port = this.server.port
    return this.server
  }

  async make(primary: ServerAddress): Promise<void> {
    await this.stop()
    this.fence()
    await makeReplica(this.files, this.name, primary, this.#options.log)
  }

  async stop(): Promise<void> {
    this.#hangUp()
    await this.server?.stop()
    this.server = null
  }

  /** Takes a role while it runs, and resolves when it counts. */
  async take(role: ServerRole): Promise<void> {
    await writeRole(this.files, role)
    await this.ask(client => this.#reload(client, role))
  }

  async #reload(client: pg.Client, role: ServerRole): Promise<void> {
    const wanted = role.is === 'primary' ? guardText(role.guard) : ''
    await client.query('SELECT pg_reload_conf()')
    const deadlineMs = monotonicMs() + applyMs
    while ((await client.query<{ now: string }>(`SELECT current_setting('synchronous_standby_names') AS now`)).rows[0]!.now !== wanted) {
      if (monotonicMs() > deadlineMs) throw fault('UNAVAILABLE', `the Postgres on port ${this.port} does not take its settings from ${this.files.cluster}/tenfold.conf`)
      await sleep(1)
    }
  }

  writeRole(role: ServerRole): Promise<void> { return writeRole(this.files, role) }

  /** On a connection that is kept: a login in the middle of a failover would take longer than all that is asked. */
  async ask<T>(question: (client: pg.Client) => Promise<T>, timeoutMs = askMs): Promise<T> {
    if (!this.server) throw fault('UNAVAILABLE', `the Postgres on port ${this.port} does not run`)
    const silence = new AbortController()
    const silent = sleep(timeoutMs, silence.signal).then(() => { throw fault('UNAVAILABLE', `the Postgres on port ${this.port} did not answer within ${timeoutMs} ms`) })
    const connecting = this.#client ??= this.#connect(this.server.url)
    try {
      return await Promise.race([connecting.then(question), silent])
    } catch (error) {
      // A refusal is an answer.
      if (!(error instanceof pg.DatabaseError)) this.#hangUp(connecting)
      throw error
    } finally {
      silence.abort()
      silent.catch(() => {})
    }
  }

  #connect(url: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: askMs, application_name: 'tenfold keeper', keepAlive: true })
    const connecting = client.connect().then(() => client, (error: unknown) => {
      client.connection.stream.destroy()
      this.#hangUp(connecting)
      throw error
    })
    client.on('error', () => this.#hangUp(connecting))
    return connecting
  }

  /** The next question makes another connection. */
  #hangUp(connecting = this.#client): void {
    if (this.#client === connecting) this.#client = null
    connecting?.then(client => client.connection.stream.destroy(), () => {})
  }

  /** How much of the log it has on disk; null when it does not answer, or is no replica. */
  received(): Promise<bigint | null> {
    return this.ask(async client => {
      const { rows: [row] } = await client.query<{ lsn: string | null }>(`
        SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text AS lsn WHERE pg_is_in_recovery()`)
      return row?.lsn ? parseLsn(row.lsn) : null
    }).catch(() => null)
  }

  /** As the primary: the replicas that it sends to. */
  async followers(): Promise<ReadonlySet<string>> {
    const rows = await this.ask(async client => (await client.query<{ name: string }>(`SELECT application_name AS name FROM pg_stat_replication WHERE state = 'streaming'`)).rows)
    return new Set(rows.map(({ name }) => name))
  }

  /** As the primary: resolves when so many replicas, of those that count, have everything that was committed before. */
  async confirmed(count: number, timeoutMs: number): Promise<boolean> {
    return this.ask(async client => {
      const { rows: [at] } = await client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
      const deadlineMs = monotonicMs() + timeoutMs
      for (;;) {
        const { rows: [found] } = await client.query<{ count: number }>(`
          SELECT count(*)::int AS count FROM pg_stat_replication WHERE sync_state IN ('quorum', 'sync') AND flush_lsn >= $1::pg_lsn`, [at!.lsn])
        if (found!.count >= count) return true
        if (monotonicMs() > deadlineMs) return false
        await sleep(10)
      }
    })
  }

  makeSlots(names: readonly string[]): Promise<void> { return this.ask(client => makeSlots(client, names)) }

  /** Resolves when it takes writes, which it does not before `decided`. Polled: pg_promote itself looks ten times a second only. */
  async promote(guard: Guard, slots: readonly string[], decided: Promise<void> = Promise.resolve()): Promise<void> {
    const role: ServerRole = { is: 'primary', guard }
    const written = writeRole(this.files, role)
    await this.ask(async client => {
      await Promise.all([makeSlots(client, slots), written, decided])
      // Before it is a primary: no write is acknowledged on its word alone.
      await this.#reload(client, role)
      await client.query('SELECT pg_promote(false)')
      while ((await client.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby')).rows[0]!.standby) await sleep(1)
    }, applyMs).finally(() => written)
  }

  /** Ends whatever of this server is still there: a postmaster that hangs, backends that have outlived theirs. */
  fence(): void {
    this.#hangUp()
    if (this.server?.pid) killNow(this.server.pid)
    if (process.platform !== 'linux' || !this.isMade) return
    const cluster = realpathSync(this.files.cluster)
    for (const entry of readdirSync('/proc')) {
      if (/^\d+$/.test(entry) && Number(entry) !== process.pid && worksIn(entry, cluster)) killNow(Number(entry))
    }
  }
}

async function makeSlots(client: pg.Client, names: readonly string[]): Promise<void> {
  for (const name of names) await client.query(`SELECT pg_create_physical_replication_slot($1, true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`, [name])
}

const worksIn = (pid: string, folder: string): boolean => {
  try { return path.resolve(readlinkSync(`/proc/${pid}/cwd`)) === folder && readlinkSync(`/proc/${pid}/exe`).endsWith('postgres') } catch { return false }
}

function killNow(pid: number): void {
  try { process.kill(pid, 'SIGKILL') } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
