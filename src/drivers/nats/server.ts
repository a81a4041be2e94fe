/**
 * NATS with JetStream as child processes on loopback: one server, or a cluster of three.
 * What they keep lies in the data folder; their ports are chosen once and remembered there.
 */
import { execFile } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { Daemon, findProgram, mendOf } from '../../base/daemon.ts'
import type { Logger } from '../../base/log.ts'

export interface NatsServersOptions {
  /** Their folders go to the sub-folder `nats`. */
  readonly dataFolder: string
  /** The deployment's: the password is made of it. */
  readonly secret: Buffer
  readonly nodes: 1 | 3
  readonly log: Logger
}

export interface NatsServers {
  /** Of all servers, with user and password, for the drivers. */
  readonly url: string
  readonly ports: readonly number[]
  /** Of the processes that run now; null for one that is down. */
  readonly pids: readonly (number | null)[]
  /** For tests: ends one server, and starts it again. */
  stopNode(index: number): Promise<void>
  startNode(index: number): Promise<void>
  stop(): Promise<void>
}

interface Place { readonly client: number; readonly route: number }

const host = '127.0.0.1'
const user = 'tenfold'
const packages = ['nats-server']
const attemptsMax = 5

/** Null where the program is found, else the mend. */
export const natsMend = (): string | null => mendOf(() => findProgram('nats-server', packages))

const passwordOf = (secret: Buffer): string => createHmac('sha256', secret).update('tenfold nats').digest('hex')

export async function startNatsServers(options: NatsServersOptions): Promise<NatsServers> {
  const cluster = new Cluster(options, findProgram('nats-server', packages))
  await cluster.start()
  const password = passwordOf(options.secret)
  return {
    url: cluster.places.map(place => `nats://${user}:${password}@${host}:${place.client}`).join(','), ports: cluster.places.map(place => place.client),
    get pids() { return cluster.daemons.map(one => one.pid) },
    stopNode: index => cluster.daemons[index]!.stop(),
    startNode: index => (cluster.daemons[index] = cluster.daemonOf(index)).start(),
    stop: () => cluster.stop(),
  }
}

class Cluster {
  readonly #options: NatsServersOptions
  readonly #program: string
  readonly #folders: readonly string[]
  daemons: Daemon[]
  places: readonly Place[] = []

  constructor(options: NatsServersOptions, program: string) {
    this.#options = options
    this.#program = program
    const folder = path.resolve(options.dataFolder, 'nats')
    this.#folders = Array.from({ length: options.nodes }, (_, index) => path.join(folder, String(index)))
    this.daemons = this.#folders.map((_, index) => this.daemonOf(index))
  }

  daemonOf(index: number): Daemon {
    const folder = this.#folders[index]!
    return new Daemon({
      title: `NATS ${index}`, program: this.#program, folder, log: this.#options.log,
      argv: () => ['-c', path.join(folder, 'nats.conf')], isReady: () => listens(path.join(folder, 'log'), this.#options.nodes),
    })
  }

  async start(): Promise<void> {
    const { nodes } = this.#options
    const syncs = await canSync(this.#program)
    for (const one of this.#folders) await mkdir(one, { recursive: true, mode: 0o700 })
    await Promise.all(this.daemons.map(one => one.endPredecessor()))
    for (let attempt = 1; ; attempt++) {
      this.places = await placesOf(path.join(path.dirname(this.#folders[0]!), 'ports.json'), nodes)
      await Promise.all(this.#folders.map((one, index) => writeConfiguration(path.join(one, 'nats.conf'), textOf(this.#options, one, index, this.places, syncs))))
      const outcomes = await Promise.allSettled(this.daemons.map(one => one.start()))
      const failure = outcomes.find(one => one.status === 'rejected')
      if (!failure) return
      await this.stop()
      // Somebody was faster with a port that was free a moment ago.
      if (attempt >= attemptsMax || !String(failure.reason).includes('address already in use')) throw failure.reason
      this.daemons = this.#folders.map((_, index) => this.daemonOf(index))
    }
  }

  async stop(): Promise<void> { await Promise.all(this.daemons.map(one => one.stop())) }
}

/**
 * By its own word: a server that finds the port of its routes taken has served clients for a
 * moment already, and whoever took a port accepts connections there as well.
 */
async function listens(log: string, nodes: number): Promise<boolean> {
  const text = await readFile(log, 'utf8').catch(() => '')
  return text.includes('Listening for client connections on') && (nodes === 1 || text.includes('Listening for route connections on'))
}

/** From 2.10 a server can be told to have every message on disk before it says so. */
async function canSync(program: string): Promise<boolean> {
  const { stdout } = await promisify(execFile)(program, ['--version'])
  const [, major, minor] = /v(\d+)\.(\d+)/.exec(stdout) ?? []
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 10)
}

function textOf({ nodes, secret }: NatsServersOptions, folder: string, index: number, places: readonly Place[], syncs: boolean): string {
  const password = passwordOf(secret)
  const routes = places.map(place => `nats://${user}:${password}@${host}:${place.route}`).join(', ')
  return `server_name: node${index}
listen: "${host}:${places[index]!.client}"
authorization { user: ${user}, password: "${password}" }
jetstream { store_dir: ${JSON.stringify(path.join(folder, 'store'))}, max_mem: 64MB${syncs ? ', sync_interval: always' : ''} }
${nodes === 1 ? '' : `cluster {
  name: tenfold
  listen: "${host}:${places[index]!.route}"
  authorization { user: ${user}, password: "${password}", timeout: 5 }
  routes: [${routes}]
}
`}`
}

/** It has the password in it. */
async function writeConfiguration(file: string, text: string): Promise<void> {
  await rm(file, { force: true })
  await writeFile(file, text, { mode: 0o600, flag: 'wx' })
}

/** Those of the last start, unless somebody else has taken one meanwhile. */
async function placesOf(file: string, nodes: number): Promise<Place[]> {
  const known = await readFile(file, 'utf8').then(text => JSON.parse(text) as Place[], () => [])
  const places = known.length === nodes && (await Promise.all(known.flatMap(one => [one.client, one.route]).map(isFree))).every(free => free) ? known : await freePlaces(nodes)
  await writeFile(file, JSON.stringify(places), { mode: 0o600 })
  return places
}

async function freePlaces(nodes: number): Promise<Place[]> {
  const probes = await Promise.all(Array.from({ length: nodes * 2 }, () => probe(0)))
  const ports = probes.map(one => (one!.address() as net.AddressInfo).port)
  await Promise.all(probes.map(one => new Promise(resolve => one!.close(resolve))))
  return Array.from({ length: nodes }, (_, index) => ({ client: ports[index * 2]!, route: ports[index * 2 + 1]! }))
}

async function isFree(port: number): Promise<boolean> {
  const server = await probe(port)
  await new Promise(resolve => server ? server.close(resolve) : resolve(null))
  return server !== null
}

/** Null when the port is taken. */
const probe = (port: number): Promise<net.Server | null> => new Promise(resolve => {
  const server = net.createServer().once('error', () => resolve(null))
  server.listen(port, host, () => resolve(server))
})
