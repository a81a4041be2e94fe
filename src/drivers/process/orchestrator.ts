/**
 * The orchestrator as child processes of Node on this machine.
 *
 * What a child must do (messages over Node's IPC channel, objects with `type`)
 * - `listen`, with a handle: `server.listen(handle)`. Sent first, only when its spec listens.
 *   The handle is a bound socket shared with its siblings and held by the supervisor.
 * - answer with `process.send({ type: 'ready' })` when it can take work.
 * - `drain`, with graceMs: take no new work, finish what runs, exit 0 within graceMs. It is
 *   killed soon after. Not http.Server.close(): it resets idle keep-alive connections; use
 *   net.Server.prototype.close and answer with `Connection: close`.
 * - `statistics`, with an id: answer with the same type and id, and `answer`.
 * - on 'disconnect' the supervisor has died: exit by itself, at once or after draining.
 *   Children are detached, so nothing else would end them.
 * - its environment is the supervisor's, the spec's, TENFOLD_PROCESS and TENFOLD_REPLICA.
 *
 * A changed spec is rolled: the new process is ready before the old one is drained.
 */
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { Orchestrator, ProcessAnswer, ProcessSpec, ProcessState } from '../../ports/orchestrator.ts'
import { bindListener } from './listener.ts'
import type { Listener } from './listener.ts'
import { Replica } from './replica.ts'

/** To the child; `listen` carries the handle. */
export type SupervisorMessage = { readonly type: 'listen' } | { readonly type: 'drain'; readonly graceMs: number } | { readonly type: 'statistics'; readonly id: number }
/** From the child. */
export type ChildMessage = { readonly type: 'ready' } | { readonly type: 'statistics'; readonly id: number; readonly answer: unknown }

export interface ProcessOrchestratorOptions {
  readonly log: Logger
  /** The Node that runs the children; the one of this process unless told otherwise. */
  readonly nodePath?: string
}

export function openProcessOrchestrator(options: ProcessOrchestratorOptions): Orchestrator {
  return new ProcessOrchestrator(options)
}

class ProcessOrchestrator implements Orchestrator {
  readonly #log: Logger
  readonly #nodePath: string
  /** By everything that identifies a process: a changed spec is another one. */
  readonly #replicas = new Map<string, Replica>()
  readonly #leaving = new Set<Replica>()
  readonly #listeners = new Map<string, Listener>()
  #applying: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | undefined

  constructor(options: ProcessOrchestratorOptions) {
    this.#log = options.log
    this.#nodePath = options.nodePath ?? process.execPath
  }

  /** One at a time, in the order of the calls. */
  apply(processes: readonly ProcessSpec[]): Promise<void> {
    const result = this.#applying.then(() => this.#apply(processes))
    this.#applying = result.catch(() => {})
    return result
  }

  async #apply(processes: readonly ProcessSpec[]): Promise<void> {
    this.#refuseWhenStopping()
    const wanted = new Map(processes.flatMap(spec => Array.from({ length: spec.replicas }, (_, replica) => [keyOf(spec, replica), { spec, replica }] as const)))
    const addresses = new Map(processes.flatMap(({ listen }) => listen ? [[addressOf(listen), listen] as const] : []))
    for (const [address, { host, port }] of addresses) {
      if (this.#listeners.has(address)) continue
      const listener = await bindListener(host, port)
      if (this.#stopping) listener.close()
      this.#refuseWhenStopping()
      this.#listeners.set(address, listener)
    }
    for (const [key, { spec, replica }] of wanted) {
      if (this.#replicas.get(key)?.isOver === false) continue
      const listener = spec.listen && this.#listeners.get(addressOf(spec.listen))
      this.#replicas.set(key, new Replica({ spec, replica, listener, nodePath: this.#nodePath, log: this.#log }))
    }
    // What is no longer wanted goes only when its successors are ready: a bad change leaves the old running.
    await Promise.all([...wanted.keys()].map(key => this.#replicas.get(key)?.ready))
    await this.#retire(key => !wanted.has(key), limits.drainMs)
    for (const [address, listener] of this.#listeners) {
      if (addresses.has(address)) continue
      listener.close()
      this.#listeners.delete(address)
    }
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw fault('DRAINING', 'the orchestrator is stopped')
  }

  async #retire(isUnwanted: (key: string) => boolean, graceMs: number): Promise<void> {
    const leaving = [...this.#replicas].filter(([key]) => isUnwanted(key))
    await Promise.all(leaving.map(async ([key, replica]) => {
      this.#replicas.delete(key)
      this.#leaving.add(replica)
      await replica.stop(graceMs)
      this.#leaving.delete(replica)
    }))
  }

  observe(): readonly ProcessState[] {
    return [...this.#replicas.values(), ...this.#leaving].map(replica => replica.state)
  }

  async ask(question: 'statistics'): Promise<readonly ProcessAnswer[]> {
    const answers = await Promise.all([...this.#replicas.values()].map(replica => replica.ask(question)))
    return answers.filter(one => one !== null)
  }

  stop(graceMs: number): Promise<void> {
    return this.#stopping ??= this.#stop(graceMs)
  }

  async #stop(graceMs: number): Promise<void> {
    const leaving = [...this.#leaving].map(replica => replica.stop(graceMs))
    await this.#retire(() => true, graceMs)
    await Promise.all(leaving)
    await this.#applying
    for (const listener of this.#listeners.values()) listener.close()
    this.#listeners.clear()
  }
}

const addressOf = (listen: { readonly host: string; readonly port: number }): string => `${listen.host}:${listen.port}`

function keyOf(spec: ProcessSpec, replica: number): string {
  const env = Object.entries(spec.env).sort(([a], [b]) => a < b ? -1 : 1)
  return JSON.stringify([spec.name, replica, spec.command, env, spec.listen ? addressOf(spec.listen) : null])
}
