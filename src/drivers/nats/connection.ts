/**
 * The connection to NATS that the drivers of one process share. It is made in the background
 * and made again for ever: nobody but who needs the broker waits for it. The packages are
 * loaded with the first connection only.
 */
import type { ConsumerConfig, JetStreamClient, JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { monotonicMs, sleep } from '../../base/time.ts'

export interface NatsOptions {
  /** nats://user:password@host:port, several with commas between them. */
  readonly url: string
  /** What the names of streams and subjects begin with: deployments may share a broker. */
  readonly prefix: string
  /** Copies of each stream: 3 needs as many servers. */
  readonly replicas: number
  readonly log: Logger
}

export interface Nats extends NatsOptions {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: JetStreamManager
}

const requestTimeoutMs = 5_000
const reconnectMs = 100

export class NatsLink {
  readonly #options: NatsOptions
  readonly #closing = new AbortController()
  #connecting: Promise<Nats> | undefined

  constructor(options: NatsOptions) { this.#options = options }

  /** Rejects with UNAVAILABLE when there is no connection within timeoutMs; the next call waits on. */
  async connected(timeoutMs = requestTimeoutMs): Promise<Nats> {
    const { signal } = this.#closing
    if (signal.aborted) throw fault('UNAVAILABLE', 'the connection to NATS is closed')
    this.#connecting ??= this.#connect()
    // A connection that comes too late is used by the next one who asks.
    const nats = await Promise.race([this.#connecting, sleep(timeoutMs, signal)])
    if (!nats) throw fault('UNAVAILABLE', `NATS is not answering at ${hostsOf(this.#options.url)}`)
    return nats
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const nats = await this.#connecting?.catch(() => undefined)
    await nats?.connection.close()
  }

  async #connect(): Promise<Nats> {
    const [{ connect }, { jetstream, jetstreamManager }] = await Promise.all([import('@nats-io/transport-node'), import('@nats-io/jetstream')])
    const { servers, user, pass } = addressOf(this.#options.url)
    for (;;) {
      if (this.#closing.signal.aborted) throw fault('UNAVAILABLE', 'the connection to NATS is closed')
      try {
        const connection = await connect({ servers, user, pass, name: 'tenfold', maxReconnectAttempts: -1, reconnectTimeWait: reconnectMs, reconnectJitter: reconnectMs, timeout: requestTimeoutMs, pingInterval: 5_000, maxPingOut: 2, noEcho: false })
        const manager = await jetstreamManager(connection, { timeout: requestTimeoutMs, checkAPI: false })
        return { ...this.#options, connection, manager, jetstream: jetstream(connection, { timeout: requestTimeoutMs }) }
      } catch (error) {
        this.#options.log.debug({ err: error }, 'NATS could not be reached yet')
        await sleep(reconnectMs, this.#closing.signal)
      }
    }
  }
}

function addressOf(url: string): { servers: string[]; user: string | undefined; pass: string | undefined } {
  const urls = url.split(',').map(one => new URL(one.trim()))
  const { username, password } = urls[0]!
  return { servers: urls.map(one => one.host), user: username ? decodeURIComponent(username) : undefined, pass: password ? decodeURIComponent(password) : undefined }
}

const hostsOf = (url: string): string => addressOf(url).servers.join(', ')

type ConsumerOf = Partial<ConsumerConfig> & { readonly durable_name: string }

/** Makes the stream, or finds it as it is; a new one of a cluster may take a moment to have a leader. */
export async function ensureStream(nats: Nats, config: Partial<StreamConfig> & { readonly name: string }, signal: AbortSignal): Promise<void> {
  for (const startedAtMs = monotonicMs(); ; ) {
    try {
      await nats.manager.streams.add({ ...config, storage: 'file', num_replicas: nats.replicas })
      return
    } catch (error) {
      if (signal.aborted) throw error
      // In use with another configuration: the wanted one, where it may be changed.
      if (codeOf(error) === jsCodes.streamIsOtherwise) { await nats.manager.streams.update(config.name, { ...config, num_replicas: nats.replicas }); return }
      if (monotonicMs() - startedAtMs > 60_000) nats.log.warn({ err: error, stream: config.name }, 'a stream of NATS cannot be made yet')
      await sleep(200, signal)
    }
  }
}

/**
 * Which start of a lone server this is. Undefined for servers of a cluster: what one of them forgets it has again from the
 * others, and after a loss of all of them from the log that they agreed on.
 */
export const startOf = ({ connection: { info }, replicas }: Nats): string | undefined => replicas === 1 && info?.cluster === undefined ? info?.server_id : undefined

/**
 * Makes the consumer, or gives the one that is there this configuration. With a start it is one that was made since then: a
 * server that is killed may remember that a message was acknowledged and not that it has thereby gone, or the other way round
 * (seen with nats-server 2.9: of those acknowledged in the last seconds, nearly all). Then no consumer gets it again, it counts
 * as waiting for ever, nothing can take its place; and what is waited for and is not there keeps a consumer from ever getting
 * beyond. One that is made anew gets all that lies in the stream, what runs at that moment included: rather twice than not at all.
 */
export async function ensureConsumer({ manager }: Nats, stream: string, config: ConsumerOf, start?: string): Promise<void> {
  const { durable_name } = config
  const wanted = start === undefined ? config : { ...config, description: `since start ${start}` }
  if (start !== undefined) {
    const found = await manager.consumers.info(stream, durable_name).catch((error: unknown) => { if (codeOf(error) === jsCodes.noConsumer) return null; throw error })
    // Another worker may do so at the same time: what it has got by then comes twice.
    if (found && found.config.description !== wanted.description) await manager.consumers.delete(stream, durable_name)
  }
  try {
    await manager.consumers.add(stream, wanted)
  } catch (error) {
    if (codeOf(error) !== jsCodes.consumerIsOtherwise) throw error
    await manager.consumers.update(stream, durable_name, wanted)
  }
}

/** Of the errors of JetStream's API; undefined for others. */
export const codeOf = (error: unknown): number | undefined => {
  const { code } = error as { code?: unknown }
  return typeof code === 'number' && code >= 10_000 ? code : undefined
}

export const jsCodes = { wrongLastSequence: 10_071, noConsumer: 10_014, streamIsOtherwise: 10_058, noStream: 10_059, consumerIsOtherwise: 10_148 } as const
