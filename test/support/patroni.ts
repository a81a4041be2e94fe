/** Three Postgres servers under Patroni, with etcd, in a folder of their own: who leads is theirs to decide. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { globSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { findProgram } from '../../src/base/daemon.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { freePort } from './free-port.ts'

/** Patroni takes no shorter lease. */
const ttlSeconds = 20
const password = 'patroni-password'
/** Postgres refuses root, and what starts it is the same user. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null

/** Where Debian puts the programs of a version; null where there are none that Patroni could use. */
export const postgresPrograms = (): string | null => globSync('/usr/lib/postgresql/*/bin/pg_basebackup').map(file => path.dirname(file)).sort().at(-1) ?? null

export interface PatroniNode {
  readonly name: string
  readonly url: string
  /** Starts it, or starts it again. */
  start(): Promise<void>
  /** Patroni and its Postgres, at once and without a word, as if the machine were gone. */
  kill(): Promise<void>
  /** The same without haste: one that has everything takes over when this one has ended its work. */
  handOver(): Promise<void>
  /** As its own interface tells: `master` for the leader; null when it does not answer. */
  role(): Promise<string | null>
  /** Whether Patroni has written down which replica may lead: a moment after that is synchronous to Postgres. */
  namesStandby(): Promise<boolean>
}

export interface PatroniGroup {
  readonly nodes: readonly PatroniNode[]
  leader(): Promise<PatroniNode>
  /** Waits for a leader with so many replicas that stream, of which Patroni knows one that may take over. */
  steady(replicas: number): Promise<PatroniNode>
  close(): Promise<void>
}

const patienceMs = 90_000

export async function startPatroni(): Promise<PatroniGroup> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-patroni-'))
  await chmod(folder, 0o755)
  const children = new Set<ChildProcess>()
  const run = async (program: string, argv: readonly string[], name: string, user: object | null = null): Promise<ChildProcess> => {
    const output = await open(path.join(folder, `${name}.log`), 'a', 0o644)
    const child = spawn(program, argv, { stdio: ['ignore', output.fd, output.fd], cwd: folder, ...user, env: { PATH: process.env.PATH, LANG: 'C.UTF-8', HOME: folder } })
    await output.close()
    children.add(child)
    child.once('exit', () => children.delete(child))
    return child
  }
  const [etcdPort, peerPort] = [await freePort(), await freePort()]
  const etcdUrl = `http://127.0.0.1:${etcdPort}`
  await run(findProgram('etcd', ['etcd-server']), [
    '--name', 'one', '--data-dir', path.join(folder, 'etcd'), '--listen-client-urls', etcdUrl, '--advertise-client-urls', etcdUrl,
    '--listen-peer-urls', `http://127.0.0.1:${peerPort}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peerPort}`, '--initial-cluster', `one=http://127.0.0.1:${peerPort}`,
  ], 'etcd')
  const nodes = await Promise.all(['a', 'b', 'c'].map(name => makeNode(name, folder, etcdPort, run)))
  const group: PatroniGroup = {
    nodes,
    async leader() {
      for (const deadlineMs = monotonicMs() + patienceMs; monotonicMs() < deadlineMs; await sleep(100)) {
        const roles = await Promise.all(nodes.map(node => node.role()))
        const at = roles.findIndex(role => role === 'master' || role === 'primary')
        if (at >= 0) return nodes[at]!
      }
      throw new Error(`no leader within ${patienceMs} ms: ${await logsOf(folder, nodes)}`)
    },
    async steady(replicas) {
      for (const deadlineMs = monotonicMs() + patienceMs; monotonicMs() < deadlineMs; await sleep(200)) {
        const leader = await group.leader()
        if (await leaderIsFollowed(leader.url, replicas) && await leader.namesStandby()) return leader
      }
      throw new Error(`${replicas} replicas do not follow within ${patienceMs} ms: ${await logsOf(folder, nodes)}`)
    },
    async close() {
      // Killed, not asked: what they keep goes anyway.
      for (const node of nodes) await node.kill()
      const ending = [...children].map(child => new Promise(resolve => child.once('exit', resolve)))
      for (const child of children) child.kill('SIGKILL')
      await Promise.all(ending)
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
  try {
    // The first one makes the cluster, the others copy it.
    await nodes[0]!.start()
    await group.leader()
    for (const node of nodes.slice(1)) await node.start()
    await group.steady(2)
    return group
  } catch (error) {
    await group.close()
    throw error
  }
}

const logsOf = async (folder: string, nodes: readonly PatroniNode[]): Promise<string> =>
  (await Promise.all(nodes.map(({ name }) => readFile(path.join(folder, `${name}.log`), 'utf8').then(text => `${name}: ${text.slice(-1_500)}`, () => '')))).join('\n--\n')

async function leaderIsFollowed(url: string, replicas: number): Promise<boolean> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query(`SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'`)
    return rows.length >= replicas && rows.some(row => row.sync_state === 'sync' || row.sync_state === 'quorum')
  } catch { return false } finally { await client.end().catch(() => {}) }
}

async function makeNode(name: string, folder: string, etcdPort: number, run: (program: string, argv: readonly string[], name: string, user?: object | null) => Promise<ChildProcess>): Promise<PatroniNode> {
  const [port, apiPort] = [await freePort(), await freePort()]
  const home = path.join(folder, name)
  await mkdir(home, { mode: 0o700 })
  if (nobody) await chown(home, nobody.uid, nobody.gid)
  const file = path.join(folder, `${name}.json`)
  // YAML is a superset of JSON.
  await writeFile(file, JSON.stringify(configuration({ name, home, port, apiPort, etcdPort })), { mode: 0o644 })
  let child: ChildProcess | undefined
  return {
    name, url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    async start() { child = await run(findProgram('patroni', ['patroni']), [file], name, nobody) },
    async kill() {
      const postmaster = Number((await readFile(path.join(home, 'data/postmaster.pid'), 'utf8').catch(() => '')).split('\n')[0])
      const ended = new Promise<void>(resolve => { if (!child || child.exitCode !== null || child.signalCode !== null) resolve(); else child.once('exit', () => resolve()) })
      child?.kill('SIGKILL')
      if (postmaster > 0) try { process.kill(postmaster, 'SIGKILL') } catch { /* It has ended by itself. */ }
      await ended
    },
    async handOver() {
      const answer = await fetch(`http://127.0.0.1:${apiPort}/switchover`, { method: 'POST', body: JSON.stringify({ leader: name }) })
      if (!answer.ok) throw new Error(`no switchover: ${answer.status} ${await answer.text()}`)
    },
    namesStandby: () => fetch(`http://127.0.0.1:${apiPort}/cluster`, { signal: AbortSignal.timeout(2_000) })
      .then(async answer => { const { members } = await answer.json() as { members: { role: string }[] }; return members.some(one => one.role === 'sync_standby' || one.role === 'quorum_standby') }).catch(() => false),
    role: () => fetch(`http://127.0.0.1:${apiPort}/patroni`, { signal: AbortSignal.timeout(2_000) })
      .then(async answer => { const { role, state } = await answer.json() as { role: string; state: string }; return state === 'running' ? role : null }).catch(() => null),
  }
}

function configuration({ name, home, port, apiPort, etcdPort }: { readonly name: string; readonly home: string; readonly port: number; readonly apiPort: number; readonly etcdPort: number }): object {
  return {
    scope: 'tenfold', name, etcd3: { host: `127.0.0.1:${etcdPort}` }, restapi: { listen: `127.0.0.1:${apiPort}`, connect_address: `127.0.0.1:${apiPort}` },
    bootstrap: {
      dcs: {
        ttl: ttlSeconds, loop_wait: 1, retry_timeout: 3, synchronous_mode: true,
        postgresql: { use_pg_rewind: false, use_slots: true, remove_data_directory_on_diverged_timelines: true, parameters: { max_connections: 200, fsync: 'on', wal_keep_size: '256MB' } },
      },
      initdb: [{ encoding: 'UTF8' }, 'data-checksums'],
    },
    postgresql: {
      listen: `127.0.0.1:${port}`, connect_address: `127.0.0.1:${port}`, data_dir: path.join(home, 'data'), bin_dir: postgresPrograms(), pgpass: path.join(home, 'pgpass'),
      remove_data_directory_on_diverged_timelines: true,
      authentication: { superuser: { username: 'postgres', password }, replication: { username: 'replicator', password }, rewind: { username: 'rewinder', password } },
      parameters: { unix_socket_directories: home },
      pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 scram-sha-256', 'host replication replicator 127.0.0.1/32 scram-sha-256'],
    },
  }
}
