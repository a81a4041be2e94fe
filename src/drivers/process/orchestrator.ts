/**
 * The orchestrator as child processes of Node on this machine.
 *
 * What a child must do (messages over Node's IPC channel, objects with `type`)
 * - say `ready` when it can take work, with the port when it listens by itself; or `failed`, with the reason, before it exits instead,
 *   `isHopeless` when another attempt would fail alike.
 * - a spare (spare.ts) may say `learnt` while it loads, to whoever started it.
 * - `connection`, with an id and a socket of which nothing has been read: answer `took` with
 *   the id at once, then serve it. Comes after `ready`, only when its spec listens.
 * - `listen`, with a listening socket, several times: accept from it, and answer `listening`. Comes
 *   after `ready`, instead of connections, to the only process of an address. Closed when it drains.
 * - `drain`, with graceMs: take no new work, finish what runs, exit 0 within graceMs. It is
 *   killed soon after. Connections that are idle may be used once more within lingerMs, and
 *   each answer says `Connection: close`, so that no client meets a reset.
 * - `statistics`, `metrics`, `traces`, `ghost` or `flush-cache`, with an id and perhaps a payload: answer with the same type and id, and `answer`.
 * - say `draining` when it drains by itself: it gets no more connections.
 * - on 'disconnect' the supervisor has died: exit by itself, at once or after draining.
 *   Children are detached, so nothing else would end them.
 * - its environment is the supervisor's, the spec's, TENFOLD_PROCESS and TENFOLD_REPLICA.
 *
 * A changed spec is rolled, one process at a time: the new one is ready before the old one
 * is drained. One that does not become ready ends the roll; the old ones stay.
 */
import type { Readable } from 'node:stream'
import type { CpuQuotas } from '../../base/cpu-quota.ts'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { Balancer } from '../../ports/balancer.ts'
import type { Orchestrator, ProcessAnswer, ProcessSpec, ProcessState, Question } from '../../ports/orchestrator.ts'
import { BalancedDoor } from './balanced-door.ts'
import type { Distance, Place as FarPlace } from './distance.ts'
import { Listener } from './listener.ts'
import type { Door } from './listener.ts'
import { Replica } from './replica.ts'
import type { ReplicaOptions } from './replica.ts'
import { SharedListener } from './shared-listener.ts'
import { spawnProcess } from './spare.ts'
import type { Spares } from './spare.ts'

/** To the child; `connection` and `listen` carry a socket. */
export type SupervisorMessage =
  | { readonly type: 'connection'; readonly id: number }
  | { readonly type: 'listen' }
  | { readonly type: 'drain'; readonly graceMs: number; readonly lingerMs?: number | undefined }
  | { readonly type: Question; readonly id: number; readonly payload?: unknown }
  | { readonly type: 'begin'; readonly env: Readonly<Record<string, string>> }
/** From the child. */
export type ChildMessage =
  | { readonly type: 'ready'; readonly port?: number | undefined }
  | { readonly type: 'listening' }
  | { readonly type: 'took'; readonly id: number }
  | { readonly type: 'draining' }
  | { readonly type: 'failed'; readonly reason: string; readonly isHopeless?: boolean }
  | { readonly type: 'learnt'; readonly answer: unknown }
  | { readonly type: Question; readonly id: number; readonly answer: unknown }

/** While others answer there is time to let idle connections end by themselves. */
const rollLingerMs = 2_000

export interface ProcessOrchestratorOptions {
  readonly log: Logger
  /** The Node that runs the children; the one of this process unless told otherwise. */
  readonly nodePath?: string
  /** Where a process is taken from before one is started. */
  readonly spares?: Spares
  /** Takes what the children print; without it that goes where this process prints. */
  readonly onOutput?: TakeOutput | undefined
  /** Gives requests to the processes that are balanced. */
  readonly balancer?: Balancer | null
  /** Without it a process that has a limit of its processor time is refused. */
  readonly quotas?: CpuQuotas | null
  /** Processes that are balanced run far away. */
  readonly distance?: Distance | null
  /** False is for negative controls: connections are dealt out however many wait. */
  readonly limitsConnections?: boolean
}

/** `process` is the name and the replica: `web.0`. */
export type TakeOutput = (process: string, stdout: Readable, stderr: Readable) => void

export function openProcessOrchestrator(options: ProcessOrchestratorOptions): Orchestrator {
  return new ProcessOrchestrator(options)
}

interface Place { readonly spec: ProcessSpec; readonly replica: number }

class ProcessOrchestrator implements Orchestrator {
  readonly #log: Logger
  readonly #nodePath: string
  readonly #spares: Spares | undefined
  readonly #onOutput: TakeOutput | undefined
  readonly #limitsConnections: boolean
  readonly #balancer: Balancer | null
  readonly #quotas: CpuQuotas | null
  readonly #distance: Distance | null
  readonly #far = new Map<Replica, FarPlace>()
  /** By everything that identifies a process: a changed spec is another one. */
  readonly #replicas = new Map<string, Replica>()
  readonly #leaving = new Set<Replica>()
  readonly #listeners = new Map<string, Door>()
  #applying: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | undefined

  constructor(options: ProcessOrchestratorOptions) {
    this.#log = options.log
    this.#nodePath = options.nodePath ?? process.execPath
    this.#spares = options.spares
    this.#onOutput = options.onOutput
    this.#limitsConnections = options.limitsConnections ?? true
    this.#balancer = options.balancer ?? null
    this.#quotas = options.quotas ?? null
    this.#distance = options.distance ?? null
  }

  /** One at a time, in the order of the calls. */
  apply(processes: readonly ProcessSpec[]): Promise<void> {
    const result = this.#applying.then(() => this.#apply(processes))
    this.#applying = result.catch(() => {})
    return result
  }

  async #apply(processes: readonly ProcessSpec[]): Promise<void> {
    this.#refuseWhenStopping()
    const limited = processes.find(({ cpu }) => cpu !== undefined)
    if (limited && !this.#quotas) throw fault('NOT_SUPPORTED', `the process ${limited.name} is to use ${limited.cpu} cores at most, and nothing here keeps it to that: give the orchestrator quotas, or leave cpu out`)
    const wanted = new Map(processes.flatMap(spec => Array.from({ length: spec.replicas }, (_, replica) => [keyOf(spec, replica), { spec, replica }] as const)))
    const addresses = new Map(processes.flatMap(({ listen }) => listen ? [[addressOf(listen), listen] as const] : []))
    for (const [address, { host, port }] of addresses) {
      if (this.#listeners.has(address)) continue
      // As it is bound it stays: processes that join later share a socket too, if not evenly.
      const count = processes.reduce((sum, { listen, replicas }) => listen && addressOf(listen) === address ? sum + replicas : sum, 0)
      const listener = count > 1 ? await Listener.bind(host, port, this.#limitsConnections) : await SharedListener.bind(host, port)
      if (this.#stopping) listener.close()
      this.#refuseWhenStopping()
      this.#listeners.set(address, listener)
    }
    const changed: [string, string][] = []
    for (const [key, place] of wanted) {
      if (this.#replicas.get(key)?.isOver === false) continue
      const before = this.#livingAt(place.spec.name, place.replica)
      if (before) changed.push([before, key])
      else await this.#start(key, place)
    }
    await Promise.all([...wanted.keys()].map(key => this.#replicas.get(key)?.ready))
    for (const [before, key] of changed) await this.#roll(before, key, wanted.get(key)!)
    await this.#retire(key => !wanted.has(key), limits.drainMs)
    for (const [address, listener] of this.#listeners) {
      if (addresses.has(address)) continue
      listener.close()
      this.#listeners.delete(address)
    }
  }

  async #start(key: string, { spec, replica }: Place): Promise<Replica> {
    const gone = this.#replicas.get(key)
    if (gone) await this.#leave(gone)
    const far = spec.isBalanced ? await this.#distance?.place() : undefined
    if (this.#stopping) await far?.close()
    this.#refuseWhenStopping()
    const listener = spec.isBalanced && this.#balancer ? new BalancedDoor(this.#balancer, `${spec.name}-${replica}`, { share: spec.cpu, port: far?.port }, this.#log) : spec.listen && this.#listeners.get(addressOf(spec.listen))
    const launch: ReplicaOptions['launch'] = (command, env) => far ? spawnProcess(this.#nodePath, command, { ...env, ...far.env }, this.#onOutput !== undefined, far.prefix)
      : this.#spares?.take(command, env) ?? spawnProcess(this.#nodePath, command, env, this.#onOutput !== undefined)
    const started = new Replica({ spec, replica, listener, launch, limit: this.#limitOf(spec, replica), log: this.#log, onOutput: this.#onOutput })
    this.#replicas.set(key, started)
    if (far) this.#far.set(started, far)
    return started
  }

  /** Nothing of it runs any more. */
  async #leave(replica: Replica): Promise<void> {
    const far = this.#far.get(replica)
    this.#far.delete(replica)
    await far?.close()
  }

  #limitOf({ name, cpu }: ProcessSpec, replica: number): ReplicaOptions['limit'] {
    const quotas = this.#quotas
    if (cpu === undefined || !quotas) return undefined
    // By the id too: while a process is replaced the old one and the new have a whole share each.
    return pid => {
      const group = quotas.limit(`${name}-${replica}-${pid}`, cpu)
      group.add(pid)
      return () => group.remove()
    }
  }

  #livingAt(name: string, replica: number): string | undefined {
    return [...this.#replicas].find(([, { state, isOver }]) => !isOver && state.name === name && state.replica === replica)?.[0]
  }

  async #roll(before: string, key: string, place: Place): Promise<void> {
    this.#refuseWhenStopping()
    try {
      await (await this.#start(key, place)).ready
    } catch (error) {
      if (!this.#stopping) await this.#retire(one => one === key, 0)
      throw error
    }
    await this.#retire(one => one === before, limits.drainMs, rollLingerMs)
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw fault('DRAINING', 'the orchestrator is stopped')
  }

  async #retire(isUnwanted: (key: string) => boolean, graceMs: number, lingerMs?: number): Promise<void> {
    const leaving = [...this.#replicas].filter(([key]) => isUnwanted(key))
    await Promise.all(leaving.map(async ([key, replica]) => {
      this.#replicas.delete(key)
      this.#leaving.add(replica)
      await replica.stop(graceMs, lingerMs)
      this.#leaving.delete(replica)
      await this.#leave(replica)
    }))
  }

  observe(): readonly ProcessState[] {
    return [...this.#replicas.values(), ...this.#leaving].map(replica => replica.state)
  }

  async ask(question: Question, payload?: unknown): Promise<readonly ProcessAnswer[]> {
    const answers = await Promise.all([...this.#replicas.values()].map(replica => replica.ask(question, payload)))
    return answers.filter(one => one !== null)
  }

  stop(graceMs: number): Promise<void> {
    return this.#stopping ??= this.#stop(graceMs)
  }

  async #stop(graceMs: number): Promise<void> {
    for (const listener of this.#listeners.values()) listener.close()
    this.#listeners.clear()
    const leaving = [...this.#leaving].map(replica => replica.stop(graceMs))
    await this.#retire(() => true, graceMs)
    await Promise.all(leaving)
    await this.#applying
  }
}

const addressOf = (listen: { readonly host: string; readonly port: number }): string => `${listen.host}:${listen.port}`

function keyOf(spec: ProcessSpec, replica: number): string {
  const env = Object.entries(spec.env).sort(([a], [b]) => a < b ? -1 : 1)
  return JSON.stringify([spec.name, replica, spec.command, env, spec.listen ? addressOf(spec.listen) : null, spec.isBalanced === true, spec.cpu ?? null])
}
