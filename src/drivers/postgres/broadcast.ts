/**
 * The broadcast port on LISTEN/NOTIFY. One connection per process listens and sends; what is
 * sent in one turn of the event loop is one statement. A text that this process sends itself
 * comes back like any other, so an echo that stays out tells of a connection that is dead
 * without saying so.
 *
 *   connecting ── LISTEN ──▶ hearing ── connection lost, or no echo in time ──▶ deaf ──▶ connecting
 */
import type pg from 'pg'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { every, monotonicMs, sleep } from '../../base/time.ts'
import type { Broadcast, BroadcastListener } from '../../ports/broadcast.ts'
import { PrimaryClient } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

export interface PostgresBroadcastOptions {
  readonly url: string
  readonly log: Logger
  readonly echoMs?: number
}

const channel = 'tenfold_broadcast'
/** NOTIFY carries less than 8,000 bytes, the topic among them. */
const bytesMax = 7_800
const echoTopic = 'tenfold.echo'
// NOTIFY commits, and what it says is nothing to be kept on disk.
const connecting: pg.ClientConfig = { connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold broadcast', keepAlive: true, pipeline: true, options: '-c synchronous_commit=off' }
const reconnect = { baseMs: 50, capMs: 1_000 }
// Postgres drops a text that stands twice in one transaction; a number makes each its own.
const sendText = `SELECT pg_notify('${channel}', number || ' ' || text) FROM unnest($1::text[]) WITH ORDINALITY AS message (text, number)`

export const openPostgresBroadcast = (options: PostgresBroadcastOptions): Broadcast => new Driver(options)

interface Waiting { readonly texts: string[]; readonly sent: Promise<void> }

class Driver implements Broadcast {
  readonly bytesMax = bytesMax
  readonly #options: PostgresBroadcastOptions
  readonly #listeners = new Map<string, Set<BroadcastListener>>()
  readonly #stopping = new AbortController()
  readonly #opened = Promise.withResolvers<void>()
  #client: pg.Client | null = null
  #hearing = false
  #heardAtMs = 0
  #waiting: Waiting | null = null
  #running: Promise<void> | undefined
  #stopEcho = () => {}

  constructor(options: PostgresBroadcastOptions) {
    this.#options = options
  }

  get hearing(): boolean { return this.#hearing }

  async open(): Promise<void> {
    this.#running ??= this.#run()
    const { echoMs = 1_000 } = this.#options
    this.#stopEcho = every(echoMs, () => this.#echo(echoMs))
    await this.#opened.promise
  }

  async close(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort()
    this.#stopEcho()
    this.#opened.resolve()
    await this.#client?.end().catch(() => {})
    await this.#running
  }

  async send(topic: string, text: string): Promise<void> {
    const message = `${topic} ${text}`
    if (Buffer.byteLength(message) > bytesMax) throw new Error(`a broadcast has at most ${bytesMax} bytes with its topic; this one has ${Buffer.byteLength(message)}`)
    const texts: string[] = []
    this.#waiting ??= { texts, sent: new Promise((resolve, reject) => { setImmediate(() => { this.#waiting = null; this.#send(texts).then(resolve, reject) }) }) }
    this.#waiting.texts.push(message)
    await this.#waiting.sent
  }

  async #send(texts: readonly string[]): Promise<void> {
    if (!this.#client || !this.#hearing) throw fault('UNAVAILABLE', 'the broadcast is not connected')
    await this.#client.query({ name: 'broadcast_send', text: sendText, values: [texts] }).catch((error: unknown) => { throw refusalOf(error) })
  }

  listen(topic: string, listener: BroadcastListener): () => void {
    const all = this.#listeners.get(topic) ?? new Set()
    this.#listeners.set(topic, all.add(listener))
    return () => { all.delete(listener) }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let attempt = 1; !signal.aborted; attempt++) {
      const client = new PrimaryClient({ ...connecting, connectionString: this.#options.url })
      const ended = new Promise<void>(resolve => { client.on('end', resolve).on('error', () => resolve()) })
      client.on('notification', ({ payload = '' }) => this.#dispatch(payload))
      try {
        await client.connect()
        this.#client = client
        await client.query(`LISTEN ${channel}`)
        attempt = 1
        this.#gap()
        this.#hearing = true
        this.#heardAtMs = monotonicMs()
        this.#opened.resolve()
        await ended
      } catch (error) {
        this.#options.log.debug({ err: error }, 'the broadcast is not connected')
      }
      this.#client = null
      this.#deafen()
      await client.end().catch(() => {})
      if (!signal.aborted) await sleep(backoffMs(reconnect, Math.min(attempt, 6)), signal)
    }
  }

  /** Known to be deaf: listeners learn of it at once, not only when texts come again. */
  #deafen(): void {
    if (!this.#hearing) return
    this.#hearing = false
    this.#gap()
  }

  #gap(): void { for (const all of this.#listeners.values()) for (const listener of all) listener.gap() }

  #dispatch(payload: string): void {
    this.#heardAtMs = monotonicMs()
    const [, topic = '', text = ''] = /^\d+ (\S+) ([\s\S]*)$/.exec(payload) ?? []
    for (const listener of this.#listeners.get(topic) ?? []) listener.heard(text)
  }

  #echo(echoMs: number): void {
    if (!this.#hearing) return
    if (monotonicMs() - this.#heardAtMs > 3 * echoMs) {
      this.#options.log.warn('the broadcast hears nothing, not even itself: connecting again')
      this.#deafen()
      // Destroyed, not ended: a polite end would wait for a peer that does not answer.
      ;(this.#client as unknown as { connection?: { stream?: { destroy(): void } } } | null)?.connection?.stream?.destroy()
      return
    }
    this.send(echoTopic, '').catch(() => {})
  }
}
