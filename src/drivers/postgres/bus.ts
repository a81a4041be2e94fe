/** The bus port on Postgres: the outbox itself is the log, each consumer reads it by a cursor of its own. */
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Message } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'
import { Consumer, hurryMs } from './consumer.ts'
import { ConsumerStore } from './consumer-store.ts'
import type { Progress } from './consumer-store.ts'
import { lsnMax, reaches, shard } from './log-position.ts'
import type { OutboxPlace } from './log-position.ts'
import { observePools, stateOf } from './pool-metrics.ts'
import { PrimaryClient, primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'
import { appendFewMax, appendStatement, jobsWord } from './transaction.ts'

export interface PostgresBusOptions {
  readonly url: string
  readonly log: Logger
  readonly metrics?: MetricRegistry | null
  /** How often to look when nothing wakes the consumers. */
  readonly pollMs?: number
  /** Registers a call-back for commits of this process. */
  readonly onAppended?: (callback: (names: ReadonlySet<string>) => void) => () => void
  /** How the database of this process signs what it notifies. */
  readonly sender?: string
}

// Nothing of it need be on disk.
const hurryText = ofRuntime('bus', `SELECT set_config('synchronous_commit', 'off', true), pg_notify('tenfold_outbox', 'hurry ' || $1)`)
const reconnectMs = 200
const remotePollMs = 5

export function openPostgresBus(options: PostgresBusOptions): Bus {
  const { url, log, pollMs = 250 } = options
  const pool = primaryPool({ connectionString: url, max: 4, connectionTimeoutMillis: limits.connectTimeoutMs })
  pool.on('error', () => {})
  observePools(options.metrics, () => [stateOf('tenfold', 'bus', pool)])
  const consumers = new Map<string, Consumer>()
  const stopping = new AbortController()
  let stopHook = () => {}
  let listening: Promise<void> | undefined
  const asking = new Map<string, { lsn: bigint; readonly answer: Promise<Progress> }>()
  const wake = (names: ReadonlySet<string>) => { for (const consumer of consumers.values()) if (consumer.reads(names)) consumer.wake() }
  const hurriedAtMs = new Map<string, number>()
  /** Tells the process that delivers to this consumer that somebody waits, once for all who do. */
  const hurry = (consumer: string) => {
    if (monotonicMs() - (hurriedAtMs.get(consumer) ?? -Infinity) < hurryMs) return
    hurriedAtMs.set(consumer, monotonicMs())
    pool.query({ name: 'bus_hurry', text: hurryText, values: [consumer] }).catch(() => {})
  }
  /** `replay`, `hurry` and a consumer, or a sender and names with blanks between them; no name means any. */
  const hear = (payload: string) => {
    const [sender, ...names] = payload.split(' ')
    if (sender === options.sender) return
    if (sender === 'hurry') return consumers.get(names[0]!)?.hurry()
    const known = new Set(names)
    for (const consumer of consumers.values()) {
      if (payload === 'replay') void consumer.reload()
      else if (names.length === 0 || consumer.reads(known)) consumer.wake()
    }
  }

  /** How far a consumer is; callers of the same moment share a statement that starts after them. */
  const progressOf = (consumer: string, lsn: bigint): Promise<Progress> => {
    const running = asking.get(consumer)
    if (running) {
      if (lsn > running.lsn) running.lsn = lsn
      return running.answer
    }
    const answer = new Promise<Progress>((resolve, reject) => setImmediate(() => {
      const { lsn } = asking.get(consumer)!
      asking.delete(consumer)
      new ConsumerStore(pool, consumer).progress(lsn).then(resolve, (error: unknown) => reject(refusalOf(error)))
    }))
    asking.set(consumer, { lsn, answer })
    return answer
  }

  const elsewhere = async (consumer: string, target: OutboxPlace, lsn: bigint, deadlineMs: number): Promise<boolean> => {
    while (monotonicMs() < deadlineMs) {
      await sleep(remotePollMs)
      const { cursor, target: ahead, parkedLsn } = await progressOf(consumer, lsn)
      if ((ahead === null || reaches(cursor, target)) && !(parkedLsn !== null && parkedLsn < lsn)) return true
      hurry(consumer)
    }
    return false
  }

  return {
    async open() {
      await pool.query('SELECT 1').catch((error: unknown) => { throw refusalOf(error) })
      stopHook = options.onAppended?.(wake) ?? stopHook
      listening ??= listen(url, log, stopping.signal, hear)
    },
    async close() {
      if (stopping.signal.aborted) return
      stopping.abort()
      stopHook()
      await Promise.all([...consumers.values()].map(consumer => consumer.stop()))
      await listening
      await pool.end()
    },
    async publish(messages) {
      if (messages.length === 0) return
      const { text, values } = appendStatement(messages)
      await pool.query({ name: `bus_publish_${Math.min(messages.length, appendFewMax + 1)}`, text, values: values as unknown[] }).catch((error: unknown) => { throw refusalOf(error) })
      wake(new Set(messages.map(nameOf)))
      await pool.query(`SELECT pg_notify('tenfold_outbox', '')`).catch(() => {})
    },
    async subscribe(subscription) {
      if (consumers.has(subscription.consumer)) throw new Error(`the consumer '${subscription.consumer}' is subscribed in this process already`)
      const consumer = new Consumer({ url, log, pollMs, metrics: options.metrics }, subscription)
      consumers.set(subscription.consumer, consumer)
      return { stop: async () => { await consumer.stop(); consumers.delete(subscription.consumer) } }
    },
    async caughtUp(name, timeoutMs, position) {
      const consumer = consumers.get(name)
      const own = position?.shard === shard ? position : undefined
      if (own && consumer?.shows(own)) return true
      const deadlineMs = monotonicMs() + timeoutMs
      const lsn = own?.lsn ?? lsnMax
      const { cursor, target, parkedLsn } = await progressOf(name, lsn)
      if (target === null && !(parkedLsn !== null && parkedLsn < lsn)) {
        if (own) consumer?.learn(own)
        return true
      }
      if (consumer?.leading) return consumer.reached(target ?? cursor, lsn, deadlineMs - monotonicMs())
      return elsewhere(name, target ?? cursor, lsn, deadlineMs)
    },
    depth: consumer => new ConsumerStore(pool, consumer).depth(),
    deadLetters: (consumer, limit) => new ConsumerStore(pool, consumer).deadLetters(limit),
    async replay(consumer, messageId) {
      const found = await new ConsumerStore(pool, consumer).replay(messageId)
      await consumers.get(consumer)?.reload()
      // The consumer may be led by another process.
      if (found) await pool.query(`SELECT pg_notify('tenfold_outbox', 'replay')`).catch(() => {})
      return found
    },
  }
}

const nameOf = ({ kind, name }: Message): string => kind === 'job' ? jobsWord : name

/** Hears the commits of other processes. Without it the consumers still poll. */
async function listen(url: string, log: Logger, signal: AbortSignal, onNotify: (payload: string) => void): Promise<void> {
  while (!signal.aborted) {
    const client = new PrimaryClient({ connectionString: url, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold listen' })
    const ended = new Promise<void>(resolve => { client.on('end', resolve).on('error', () => resolve()) })
    client.on('notification', ({ payload = '' }) => onNotify(payload))
    const stopped = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
    try {
      await client.connect()
      await client.query('LISTEN tenfold_outbox')
      // What was said while nobody listened.
      onNotify('replay')
      await Promise.race([ended, stopped])
    } catch (error) {
      log.debug({ err: error }, 'the listener lost its connection')
    } finally {
      await client.end().catch(() => {})
    }
    await sleep(reconnectMs, signal)
  }
}
