/**
 * Start and stop, the same for everything that runs: both may be called twice, stop
 * waits until the work is over, and things are stopped in the reverse order of their start.
 */

export interface Service {
  start(): Promise<void>
  /** Resolves when nothing of the service runs any more. */
  stop(): Promise<void>
}

/** Makes start and stop run once each, however often and however concurrently they are called. */
export function once(service: Service): Service {
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined
  return {
    start: () => starting ??= service.start(),
    stop: () => stopping ??= (async () => {
      await starting?.catch(() => {})
      if (starting) await service.stop()
    })(),
  }
}

/** A stack of things to undo; `close` undoes them last first and throws the first error after all have run. */
export class Closers {
  #closers: (() => unknown)[] = []

  add(closer: () => unknown): void { this.#closers.push(closer) }

  async close(): Promise<void> {
    const errors: unknown[] = []
    for (const closer of this.#closers.splice(0).reverse()) {
      try { await closer() } catch (error) { errors.push(error) }
    }
    if (errors.length > 0) throw errors[0]
  }
}
