/**
 * The console's one stream (server-sent events): a sample each second while somebody looks,
 * and for a while afterwards, so that who comes back finds the minutes before.
 */
import type { ServerResponse } from 'node:http'
import { monotonicMs, every } from '../base/time.ts'
import type { Deployment } from '../boot/deployment.ts'
import { Stream } from './route.ts'
import type { AdminRoute } from './route.ts'
import type { Sample } from './sample.ts'
import { Sampler } from './sampler.ts'

export const streamHeaders = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' } as const

const periodMs = 1_000
const historyMax = 300
const unwatchedMs = 300_000
/** A reader that is this far behind is cut: it comes back by itself. */
const backlogBytesMax = 1_048_576

export class Live {
  readonly #sampler: Sampler
  readonly #watchers = new Set<ServerResponse>()
  readonly #history: Sample[] = []
  #stopSampling: (() => void) | null = null
  #lastSeenMs = 0

  constructor(deployment: Deployment) { this.#sampler = new Sampler(deployment) }

  routes(): AdminRoute[] {
    return [{ method: 'GET', path: '/live', answer: () => new Stream(response => this.#watch(response)) }]
  }

  stop(): void {
    this.#stopSampling?.()
    for (const response of this.#watchers) response.end()
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, streamHeaders)
    response.write(`retry: ${periodMs}\nevent: history\ndata: ${JSON.stringify(this.#history)}\n\n`)
    this.#watchers.add(response)
    response.on('close', () => this.#watchers.delete(response))
    this.#lastSeenMs = monotonicMs()
    if (this.#stopSampling) return
    void this.#sampler.begin()
    this.#stopSampling = every(periodMs, () => this.#tick())
  }

  async #tick(): Promise<void> {
    if (this.#watchers.size > 0) this.#lastSeenMs = monotonicMs()
    if (monotonicMs() - this.#lastSeenMs > unwatchedMs) {
      this.#stopSampling!()
      this.#stopSampling = null
      this.#history.length = 0
      return
    }
    const sample = await this.#sampler.next()
    this.#history.push(sample)
    if (this.#history.length > historyMax) this.#history.shift()
    const text = `event: sample\ndata: ${JSON.stringify(sample)}\n\n`
    for (const response of this.#watchers) {
      if (response.writableLength > backlogBytesMax) response.destroy()
      else response.write(text)
    }
  }
}
