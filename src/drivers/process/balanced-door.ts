/** The way to a process that listens by itself: the balancer knows it from when it is ready until it has drained. */
import type { ChildProcess } from 'node:child_process'
import type { Logger } from '../../base/log.ts'
import type { Balancer } from '../../ports/balancer.ts'
import type { Door, Seat } from './listener.ts'

export interface NodePlace {
  /** Of a core, where it has a limit. */
  readonly share?: number | undefined
  /** Where it is reached, if not where it says that it listens. */
  readonly port?: number | undefined
}

export class BalancedDoor implements Door {
  readonly #balancer: Balancer
  readonly #place: string
  readonly #node: NodePlace
  readonly #log: Logger

  /** `place`: the process's name and replica; each process that takes it is a node of its own. */
  constructor(balancer: Balancer, place: string, node: NodePlace, log: Logger) {
    this.#balancer = balancer
    this.#place = place
    this.#node = node
    this.#log = log
  }

  join(child: ChildProcess, port?: number): Seat {
    const name = `${this.#place}-${child.pid}`
    const orLogged = (what: string, work: Promise<void>) => work.catch((error: unknown) => this.#log.error({ err: error, node: name }, `the balancer did not ${what} a node`))
    const joined = this.#balancer.add({ name, host: '127.0.0.1', port: this.#node.port ?? port!, share: this.#node.share })
    joined.catch((error: unknown) => { this.#log.error({ err: error, node: name }, 'the balancer did not add a node'); child.kill('SIGKILL') })
    return {
      joined, took: () => {},
      leave: (graceMs = 0) => orLogged('drain', this.#balancer.drain(name, graceMs)),
      vacate: () => void orLogged('remove', this.#balancer.remove(name)),
    }
  }

  close(): void {}
}
