/** The supervisor's own connections to the engines, for looking: opened when somebody first looks, few, and closed with the admin port. */
import { Closers } from '../base/lifecycle.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { Bus } from '../ports/bus.ts'
import type { Inspection } from '../ports/inspection.ts'
import type { Queue } from '../ports/queue.ts'

export class Observers {
  readonly #deployment: Deployment
  readonly #closers = new Closers()
  #backlog: Promise<{ readonly bus: Bus; readonly queue: Queue }> | undefined
  #inspection: Promise<Inspection> | undefined

  constructor(deployment: Deployment) { this.#deployment = deployment }

  get bus(): Promise<Bus> { return this.#openBacklog().then(one => one.bus) }

  get queue(): Promise<Queue> { return this.#openBacklog().then(one => one.queue) }

  /** A failed opening is tried again by the next who asks. */
  get inspection(): Promise<Inspection> {
    return this.#inspection ??= this.#open(async ({ inspectionOf }, { topology, databaseUrl, plan }) => {
      const inspection = inspectionOf(topology.ports, databaseUrl, servicesOf(plan))
      this.#closers.add(() => inspection.close())
      await inspection.open()
      return inspection
    }).catch((error: unknown) => { this.#inspection = undefined; throw error })
  }

  #openBacklog() {
    return this.#backlog ??= this.#open(async ({ backlogOf }, { topology, databaseUrl, brokerUrl, secret, source }) => {
      const backlog = backlogOf(topology.ports, { databaseUrl, brokerUrl: brokerUrl ?? undefined, secret, log: source.log })
      for (const engine of [backlog.bus, backlog.queue]) {
        this.#closers.add(() => engine.close())
        await engine.open()
      }
      return backlog
    }).catch((error: unknown) => { this.#backlog = undefined; throw error })
  }

  /** The drivers are imported here and not above: a supervisor at which nobody looks does without. */
  async #open<T>(work: (registry: typeof import('../boot/registry.ts'), deployment: Deployment) => Promise<T>): Promise<T> {
    return work(await import('../boot/registry.ts'), this.#deployment)
  }

  close(): Promise<void> { return this.#closers.close() }
}

export const servicesOf = ({ databases }: Deployment['plan']): string[] => databases.flatMap(one => one.services)
