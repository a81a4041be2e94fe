/**
 * The balancer port on HAProxy, a child process that inherits the listening socket. Nodes
 * come and go by its run-time commands, the file written first, so that an engine that starts
 * anew knows them all; it is never reloaded.
 */
import { rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bindSocket } from '../../base/bound-socket.ts'
import type { BoundSocket } from '../../base/bound-socket.ts'
import { Daemon, engineFolder, findProgram, mendOf } from '../../base/daemon.ts'
import { fault, isTenfoldError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { every, monotonicMs, sleep } from '../../base/time.ts'
import type { Balancer, BalancerReport, Node, NodeReport } from '../../ports/balancer.ts'
import { command, statRows } from './command-socket.ts'
import type { StatRow } from './command-socket.ts'
import { backend, frontend, renderConfiguration, serverOf } from './configuration.ts'
import { outliers } from './outlier.ts'

export interface HaproxyOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly dataFolder: string
  readonly foreignPrefixes?: readonly string[]
  readonly threads?: number
  readonly nodeRequestsMax?: number
  readonly queueMs?: number
  readonly checkMs?: number
  readonly slowStartMs?: number
  readonly refusalsMax?: number
  /** How often nodes are looked at for failing, and for how long one that does gets nothing. */
  readonly watchMs?: number
  readonly ejectMs?: number
  readonly log: Logger
}

const pollMs = 20
/** Who refuses one does not listen. With more, a request could spend all its attempts on the node that has least to do because it is dead. */
const refusalsMax = 1
/** One that runs and has not answered so often in a row, each time for two seconds, is ended, for nobody can take its place. */
const silencesMax = 4
/** So long an engine that is away may take to be back before a change of its nodes fails. */
const awayMs = 20_000

const findHaproxy = (): string => findProgram('haproxy', ['haproxy'])

/** What to install; null when it is there. */
export const haproxyMend = (): string | null => mendOf(findHaproxy)

/** One per deployment, in the supervisor. `port` is known after `open`. */
export class HaproxyBalancer implements Balancer {
  readonly #options: HaproxyOptions
  readonly #nodes = new Map<string, Member>()
  #socket: BoundSocket | undefined
  #daemon: Daemon | undefined
  #folder = ''
  #isClosed = false
  #silences = 0
  #working: Promise<unknown> = Promise.resolve()
  #stopWatching = () => {}

  constructor(options: HaproxyOptions) { this.#options = options }

  get port(): number { return this.#socket!.port }
  /** Null while it is down. */
  get pid(): number | null { return this.#daemon?.pid ?? null }

  async open(): Promise<void> {
    const { host, port, dataFolder, log, watchMs = 1_000 } = this.#options
    const program = findHaproxy()
    this.#folder = await engineFolder(dataFolder, 'haproxy', 0o700)
    const daemon = new Daemon({
      title: 'HAProxy', program, folder: this.#folder, log, argv: () => ['-db', '-f', this.#file],
      descriptors: () => [this.#socket!.fd], isReady: () => this.#tell('show info').then(() => true, () => false),
    })
    await daemon.endPredecessor()
    this.#socket = await bindSocket(host, port)
    this.#daemon = daemon
    await this.#write()
    await daemon.start()
    this.#stopWatching = every(watchMs, () => this.#watch())
  }

  get #file(): string { return path.join(this.#folder, 'haproxy.cfg') }
  get #commandSocket(): string { return path.join(this.#folder, 'command') }

  #tell(line: string): Promise<string> { return command(this.#commandSocket, line) }

  async #write(): Promise<void> {
    const { foreignPrefixes = [], threads = 1 } = this.#options
    const text = renderConfiguration({ commandSocket: this.#commandSocket, foreignPrefixes, threads, queueMs: this.#options.queueMs ?? 1_000, ...this.#serverOptions, nodes: [...this.#nodes.values()].filter(one => one.state !== 'draining').map(one => one.node) })
    await writeFile(`${this.#file}.new`, text, { mode: 0o600 })
    await rename(`${this.#file}.new`, this.#file)
  }

  get #serverOptions() {
    const { checkMs = 500, slowStartMs = 2_000, nodeRequestsMax = limits.concurrencyMax } = this.#options
    return { checkMs, slowStartMs, nodeRequestsMax, refusalsMax: this.#options.refusalsMax ?? refusalsMax }
  }

  /** One change at a time, and again when the engine came back in between: it has read the file then. */
  #change(lines: readonly string[], isDone: (answer: string) => boolean): Promise<void> {
    const result = this.#working.then(async () => {
      if (this.#isClosed) return
      await this.#write()
      const deadlineMs = monotonicMs() + awayMs
      for (const line of lines) {
        for (;;) {
          const answer = await this.#tell(line).catch((error: unknown) => { if (!isTenfoldError(error) || monotonicMs() > deadlineMs) throw error; return null })
          if (this.#isClosed || answer !== null && isDone(answer)) break
          if (answer !== null && monotonicMs() > deadlineMs) throw fault('UNAVAILABLE', `HAProxy refuses '${line}': ${answer}`)
          await sleep(pollMs)
        }
      }
    })
    this.#working = result.catch(() => {})
    return result
  }

  async add(node: Node): Promise<void> {
    if (this.#nodes.has(node.name)) throw fault('CONFLICT', `the node ${node.name} is there already; a node that comes back has another name`)
    if (!/^[\w.-]+$/.test(node.name)) throw fault('USAGE', `the node's name '${node.name}' has characters other than letters, digits, '.', '-' and '_'`)
    this.#nodes.set(node.name, { node, state: 'up', counted: { requests: 0, failures: 0 }, ejectedUntilMs: 0, ejections: 0 })
    const name = `${backend}/${node.name}`
    await this.#change([`add server ${backend}/${serverOf(node, this.#serverOptions)}`, `enable health ${name}`, `enable server ${name}`],
      answer => answer === '' || /New server registered|Already exists/.test(answer))
  }

  async drain(name: string, graceMs: number): Promise<void> {
    const member = this.#nodes.get(name)
    if (!member) return
    member.state = 'draining'
    await this.#change([`set server ${backend}/${name} state drain`], answer => answer === '' || isUnknown(answer))
    const deadlineMs = monotonicMs() + graceMs
    while (!this.#isClosed) {
      const row = (await this.#stat().catch(() => [])).find(one => one.svname === name)
      if (!row || Number(row.scur) + Number(row.qcur) === 0) return
      if (monotonicMs() > deadlineMs) throw fault('DEADLINE_EXCEEDED', `${row.scur} requests are still under way at ${name} after ${graceMs} ms`)
      await sleep(pollMs)
    }
  }

  async remove(name: string): Promise<void> {
    if (!this.#nodes.delete(name)) return
    // Idle connections to a node that lives keep it: maintenance ends them, one by one.
    await this.#change([`set server ${backend}/${name} state maint`, `del server ${backend}/${name}`], answer => answer === '' || /deleted/.test(answer) || isUnknown(answer))
  }

  async #stat(): Promise<StatRow[]> {
    return statRows(await this.#tell('show stat')).filter(row => row.pxname === backend || row.pxname === frontend)
  }

  async observe(): Promise<BalancerReport> {
    const rows = await this.#stat()
    const front = rows.find(row => row.svname === 'FRONTEND')
    const back = rows.find(row => row.svname === 'BACKEND')
    const nodes = rows.filter(row => this.#nodes.has(row.svname!)).map(row => reportOf(row, this.#nodes.get(row.svname!)!.state))
    return { nodes, requests: Number(front?.req_tot ?? 0), queued: Number(back?.qcur ?? 0) - nodes.reduce((sum, one) => sum + one.queued, 0), repeated: Number(back?.wredis ?? 0) }
  }

  /** Takes requests from nodes that fail far more often than the others, and gives them back after a while. */
  async #watch(): Promise<void> {
    const { ejectMs = 10_000, log } = this.#options
    const report = await this.observe().catch(() => null)
    if (!report) return this.#onSilence()
    this.#silences = 0
    const windows = report.nodes.flatMap(({ name, requests, failures }) => {
      const member = this.#nodes.get(name)!
      const before = requests < member.counted.requests ? { requests: 0, failures: 0 } : member.counted
      member.counted = { requests, failures }
      return [{ name, requests: requests - before.requests, failures: failures - before.failures, isEjected: member.state === 'ejected' }]
    })
    for (const name of outliers(windows)) {
      log.warn({ node: name, ...windows.find(one => one.name === name) }, 'a node fails far more often than the others: it gets no requests for a while')
      await this.#eject(name, ejectMs)
    }
    for (const [name, member] of this.#nodes) {
      if (member.state !== 'ejected' || monotonicMs() < member.ejectedUntilMs) continue
      await this.#change([`set server ${backend}/${name} state ready`], () => true).catch(() => {})
      if (member.state === 'ejected') member.state = 'up'
    }
  }

  #onSilence(): void {
    this.#silences = this.pid === null ? 0 : this.#silences + 1
    if (this.#silences < silencesMax || this.#isClosed) return
    this.#silences = 0
    this.#options.log.error('HAProxy runs and does not answer: it is ended and started again')
    this.#daemon!.kill()
  }

  async #eject(name: string, ejectMs: number): Promise<void> {
    const member = this.#nodes.get(name)
    if (member?.state !== 'up') return
    await this.#change([`set server ${backend}/${name} state drain`], () => true).catch(() => {})
    // Whoever drains it meanwhile has the last word.
    if (member.state !== 'up') return
    member.state = 'ejected'
    member.ejections++
    member.ejectedUntilMs = monotonicMs() + ejectMs * Math.min(member.ejections, 6)
  }

  async close(graceMs: number): Promise<void> {
    this.#stopWatching()
    this.#isClosed = true
    this.#socket?.close()
    const deadlineMs = monotonicMs() + graceMs
    await this.#tell(`disable frontend ${frontend}`).catch(() => '')
    while (monotonicMs() < deadlineMs) {
      const back = (await this.#stat().catch(() => [])).find(row => row.svname === 'BACKEND')
      if (!back || Number(back.scur) + Number(back.qcur) === 0) break
      await sleep(pollMs)
    }
    await this.#daemon?.stop()
  }
}

interface Member {
  readonly node: Node
  state: 'up' | 'draining' | 'ejected'
  counted: { readonly requests: number; readonly failures: number }
  ejectedUntilMs: number
  /** Each lasts longer than the one before. */
  ejections: number
}

const isUnknown = (answer: string): boolean => /No such server/.test(answer)

function reportOf(row: StatRow, state: Member['state']): NodeReport {
  return {
    name: row.svname!, state: state === 'up' && !row.status!.startsWith('UP') ? 'down' : state,
    inFlight: Number(row.scur), queued: Number(row.qcur), requests: Number(row.stot), failures: Number(row.hrsp_5xx),
  }
}
