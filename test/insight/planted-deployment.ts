/** The planted Conduit, running on one topology after another, with load on it and what advice says of that. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { sleep } from '../../src/base/time.ts'
import { inspectionOf } from '../../src/boot/registry.ts'
import { advise } from '../../src/insight/advice.ts'
import { bindingOf, withGenerator } from '../../src/insight/binding/binding.ts'
import type { Binding } from '../../src/insight/binding/binding.ts'
import { isSteady } from '../../src/insight/binding/diagnosis.ts'
import type { Evidence } from '../../src/insight/binding/evidence.ts'
import { gather } from '../../src/insight/facts.ts'
import { constantProfile } from '../../src/load/profile.ts'
import { runLoad } from '../../src/load/run.ts'
import type { Ports } from '../../src/topology/topology.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { copyOfSeededData } from '../support/seeded-data.ts'
import { plantedApp } from './planted-app.ts'
import type { PlantedApp } from './planted-app.ts'

export interface Looked { readonly evidence: Evidence; readonly binding: Binding }
export interface Asked { readonly journey: string; readonly users: number; readonly generators?: number | undefined }

const services = ['accounts', 'profiles', 'articles', 'feed', 'notifications']
const embedded = `database: { driver: 'postgres', embedded: true, settings: 'small'`
const looksMax = 3

export class PlantedDeployment {
  readonly #app: PlantedApp
  readonly #dataFolder: string
  #running: { readonly topology: string; readonly deployment: TestDeployment } | null = null

  static async open(): Promise<PlantedDeployment> {
    const app = await plantedApp()
    await app.topology('narrow', '1-monolith', [[embedded, `${embedded}, connections: { read: 1, write: 2 }`]])
    await app.topology('kept', '1-monolith', [[`cache: { driver: 'none' }`, `cache: { driver: 'memory', bytesMax: 67_108_864 }`]])
    return new PlantedDeployment(app, await copyOfSeededData())
  }

  private constructor(app: PlantedApp, dataFolder: string) {
    this.#app = app
    this.#dataFolder = dataFolder
  }

  get deployment(): TestDeployment { return this.#running!.deployment }
  get appFile(): string { return this.#app.appFile }

  async runOn(topology: string): Promise<void> {
    if (this.#running?.topology === topology) return
    await this.#running?.deployment.end()
    this.#running = { topology, deployment: await startDeployment({ topology, dataFolder: this.#dataFolder, appFile: this.#app.appFile, env: { LOG_LEVEL: 'error' } }) }
  }

  /** Users who ask without thinking; what advice says of it. A look that does not add up is taken again for longer, as the command does. */
  async look({ journey, users, generators = 1 }: Asked, secondsMin: number): Promise<Looked> {
    for (let look = 1; ; look++) {
      const seconds = secondsMin * 2 ** (look - 1)
      const looking = Promise.withResolvers<Evidence>()
      const report = await runLoad({
        url: this.deployment.url, files: [path.join(import.meta.dirname, 'journeys.ts')], mix: { [journey]: 1 }, users: constantProfile(users),
        warmupMs: 2_000, durationMs: seconds * 1_000, generators, timeoutMs: 30_000,
      }, { onMeasure: () => { this.#evidence(seconds).then(looking.resolve, looking.reject) } })
      const evidence = withGenerator(await looking.promise, report)
      if (isSteady(evidence) || look === looksMax) return { evidence, binding: bindingOf(evidence, await this.#findings(), this.#configured()) }
    }
  }

  /** Runs with the connections that a proposal's command says. */
  async runWith(command: string): Promise<void> {
    const [connections] = /connections: \{[^}]*\}/.exec(command)!
    await this.#app.topology('proposed', '1-monolith', [[embedded, `${embedded}, ${connections}`]])
    await this.runOn('proposed')
  }

  async #evidence(seconds: number): Promise<Evidence> {
    return await (await fetch(`${this.deployment.adminUrl}/evidence?seconds=${seconds}`)).json() as Evidence
  }

  #configured() {
    const { topology } = this.#running!
    return { topology, hasCache: topology === 'kept', nextTopology: topology === '1-monolith' ? '2-tuned' : null, processes: 1 }
  }

  async #findings() {
    const ports = { database: { driver: 'postgres' } } as Ports
    const inspection = inspectionOf(ports, await this.#url(), services)
    await inspection.open()
    try { return advise(await gather(inspection, null, {})).findings } finally { await inspection.close() }
  }

  async #url(): Promise<string> {
    const [password, port] = await Promise.all(['password', 'port'].map(name => readFile(path.join(this.#dataFolder, 'postgres', `postgres.${name}`), 'utf8')))
    return `postgres://postgres:${password!.trim()}@127.0.0.1:${port!.trim()}/postgres`
  }

  async sql(text: string): Promise<void> {
    const client = new pg.Client(await this.#url())
    await client.connect()
    try { await client.query(text) } finally { await client.end() }
  }

  /** So many times, four at a time. */
  async ask(address: string, times: number): Promise<void> {
    const lane = async (count: number) => { for (let left = count; left > 0; left--) await (await fetch(this.deployment.url + address)).arrayBuffer() }
    await Promise.all([0, 1, 2, 3].map(() => lane(Math.ceil(times / 4))))
  }

  /** Another program that runs this again and again, until the returned function is called. */
  async program(text: string, pauseMs: number): Promise<() => Promise<void>> {
    const client = new pg.Client({ connectionString: await this.#url(), application_name: 'another program' })
    await client.connect()
    let ends = false
    const running = (async () => { while (!ends) { await client.query(text); await sleep(pauseMs) } })()
    return async () => { ends = true; await running; await client.end() }
  }

  /** Each flush of the log takes so much longer, until the returned function is called. */
  async slowFsync(ms: number): Promise<() => Promise<void>> {
    const folder = path.join(this.#dataFolder, 'postgres')
    const clusters = await Promise.all((await readdir(folder)).map(name => readFile(path.join(folder, name, 'postmaster.pid'), 'utf8').catch(() => '')))
    const pid = clusters.find(text => text !== '')!.split('\n')[0]!
    const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ')
    const tracer = spawn('strace', ['-f', '-qq', '-e', 'trace=fdatasync', '-e', `inject=fdatasync:delay_enter=${ms * 1_000}`, '-o', '/dev/null', ...[pid, ...children].flatMap(one => ['-p', one])], { stdio: 'ignore' })
    await once(tracer, 'spawn')
    await sleep(500)
    return async () => {
      const ended = once(tracer, 'exit')
      tracer.kill('SIGINT')
      await ended
    }
  }

  async close(): Promise<void> {
    await this.#running?.deployment.close()
    await this.#app.remove()
  }
}
