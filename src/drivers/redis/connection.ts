/**
 * One connection to a Redis, made so that a Redis which is slow or gone costs its callers
 * little: each call has a bounded time, and after a few in a row that were not answered in it,
 * every call is refused at once until a new connection answers.
 *
 *   down ──a connection answers PING──▶ up
 *   up ──connection lost, or failuresMax calls in a row too late──▶ down
 */
import type { RedisClientType, RedisClientOptions } from '@redis/client'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import type { TenfoldError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { after, monotonicMs, sleep } from '../../base/time.ts'
import type { Script } from './script.ts'

export interface RedisOptions {
  /** `redis://`, `rediss://`, or `unix:/path?password=…`. */
  readonly url: string
  readonly log: Logger
  /** A call that takes longer has failed. */
  readonly callMs?: number | undefined
}

type Argument = string | Buffer
/** What the engine answers: bulk strings as buffers. */
export type Reply = Buffer | number | null | readonly Reply[]

const callMsDefault = 20
const connectMs = 1_000
const failuresMax = 5
const reconnect = { baseMs: 50, capMs: 1_000 }
/** After so long without a failure the next one is the first again. */
const steadyMs = 5_000
const complainMs = 10_000

type Client = Pick<RedisClientType, 'connect' | 'destroy' | 'on'> & { sendCommand(argv: readonly Argument[]): Promise<Reply> }

export class RedisConnection {
  readonly #options: RedisOptions
  readonly #callMs: number
  readonly #stopping = new AbortController()
  #client: Client | null = null
  #failures = 0
  #attempt = 0
  #upSinceMs = -Infinity
  #complainedAtMs = -Infinity
  #connecting: Promise<void> | null = null

  constructor(options: RedisOptions) {
    this.#options = options
    this.#callMs = options.callMs ?? callMsDefault
  }

  get isUp(): boolean { return this.#client !== null }

  /** Tries once; when that fails it goes on trying. */
  async open(): Promise<void> {
    await this.#try()
    if (!this.isUp) this.#retry()
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    this.#drop()
    await this.#connecting
  }

  async run(script: Script, keys: readonly string[], values: readonly Argument[]): Promise<Reply> {
    try {
      return await this.call(['EVALSHA', script.sha1, String(keys.length), ...keys, ...values])
    } catch (error) {
      if (codeOf(error) !== 'NOSCRIPT') throw error
      return this.call(['EVAL', script.text, String(keys.length), ...keys, ...values])
    }
  }

  /** Rejects with UNAVAILABLE when it is not answered in time or Redis cannot serve; what Redis finds wrong with the call is thrown on. */
  call(argv: readonly Argument[]): Promise<Reply> {
    const client = this.#client
    return client ? this.#within(client, argv) : Promise.reject(unavailable('Redis does not answer'))
  }

  #within(client: Client, argv: readonly Argument[]): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const late = () => {
      this.#failed(client)
      reject(unavailable(`Redis did not answer within ${this.#callMs} ms`))
    }
    // A turn more: when it was this process that stood still, the answer is there, and not yet read.
    let cancel = after(this.#callMs, () => { cancel = after(1, late) })
    client.sendCommand(argv).then(reply => {
      cancel()
      this.#failures = 0
      resolve(reply)
    }, (error: unknown) => {
      cancel()
      const code = codeOf(error)
      if (code === null) reject(unavailable('the connection to Redis broke', error))
      else reject(states.has(code) ? unavailable(`Redis cannot serve: ${(error as Error).message}`, error) : error as Error)
    })
    return promise
  }

  #failed(client: Client): void {
    if (client !== this.#client || ++this.#failures < failuresMax) return
    this.#lost(client, `${failuresMax} calls in a row took more than ${this.#callMs} ms`)
  }

  #lost(client: Client, why: string): void {
    if (client !== this.#client) return
    this.#complain(why)
    this.#drop()
    this.#retry()
  }

  #drop(): void {
    const client = this.#client
    this.#client = null
    client?.destroy()
  }

  #retry(): void {
    if (this.#stopping.signal.aborted || this.#connecting) return
    if (monotonicMs() - this.#upSinceMs > steadyMs) this.#attempt = 0
    this.#connecting = (async () => {
      while (!this.isUp && !this.#stopping.signal.aborted) {
        await sleep(backoffMs(reconnect, ++this.#attempt), this.#stopping.signal)
        if (!this.#stopping.signal.aborted) await this.#try()
      }
    })().finally(() => {
      this.#connecting = null
      // Lost again before it was noted that it had been found.
      if (!this.isUp) this.#retry()
    })
  }

  async #try(): Promise<void> {
    let client: Client | undefined
    try {
      client = await clientOf(this.#options.url, Math.max(connectMs, this.#callMs))
      client.on('error', (error: Error) => this.#lost(client!, error.message)).on('end', () => this.#lost(client!, 'the connection ended'))
      await within(Math.max(connectMs, this.#callMs), client.connect())
      await within(this.#callMs, client.sendCommand(['PING']))
      if (this.#stopping.signal.aborted) return client.destroy()
      this.#client = client
      this.#failures = 0
      this.#upSinceMs = monotonicMs()
      if (this.#complainedAtMs > -Infinity) this.#options.log.info({ redis: shown(this.#options.url) }, 'Redis answers again')
    } catch (error) {
      this.#complain((error as Error).message)
      try { client?.destroy() } catch { /* it was not open yet */ }
    }
  }

  #complain(why: string): void {
    if (monotonicMs() - this.#complainedAtMs < complainMs) return
    this.#complainedAtMs = monotonicMs()
    this.#options.log.warn({ redis: shown(this.#options.url), reason: why }, 'Redis does not answer: going on without it')
  }
}

const unavailable = (message: string, cause?: unknown): TenfoldError => fault('UNAVAILABLE', message, { cause })

/** Redis answers errors with a code in capitals: of these it is the state of the server that speaks. */
const states: ReadonlySet<string> = new Set(['LOADING', 'BUSY', 'OOM', 'MISCONF', 'READONLY', 'MASTERDOWN', 'NOREPLICAS', 'CLUSTERDOWN', 'NOAUTH', 'WRONGPASS', 'NOPERM'])
const codeOf = (error: unknown): string | null => error instanceof Error ? /^([A-Z]+) /.exec(error.message)?.[1] ?? null : null

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const cancel = after(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)))
  try { return await Promise.race([work, promise]) } finally { cancel() }
}

/** The client is loaded when the first one is made: most topologies have none. */
async function clientOf(url: string, connectTimeout: number): Promise<Client> {
  const { createClient, RESP_TYPES } = await import('@redis/client')
  const client = createClient({ ...targetOf(url, connectTimeout), RESP: 3, disableOfflineQueue: true, name: 'tenfold', commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } } })
  return client as unknown as Client
}

function targetOf(url: string, connectTimeout: number): Pick<RedisClientOptions, 'url' | 'socket' | 'password'> {
  const socket = { connectTimeout, reconnectStrategy: false } as const
  if (!url.startsWith('unix:')) return { url, socket }
  const { pathname, searchParams } = new URL(url)
  const password = searchParams.get('password')
  return { ...password === null ? {} : { password }, socket: { ...socket, path: decodeURIComponent(pathname), tls: false } }
}

/** Without what must not be read in a log. */
function shown(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}${host === '' ? '' : `//${host}`}${pathname}`
}
