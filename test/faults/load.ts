/**
 * Verified load: writers that publish, read back and favor, each command under an idempotency
 * key and repeated until it is answered; what was acknowledged goes into the ledger. Every
 * attempt is written down, with how long it took and what became of it.
 */
import { randomUUID } from 'node:crypto'
import http from 'node:http'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { Ledger } from '../crash/ledger.ts'
import { isBehind } from '../processes/deployed.ts'
import { until } from './site.ts'

export interface Attempt { readonly isWrite: boolean; readonly beganMs: number; readonly tookMs: number; /** Null when it was answered as it should be. */ readonly failure: string | null }

/** `behind`: reads that would have shown less than their session has written, and were refused. `withoutMs`: the longest time without an acknowledged write. */
export interface Window { readonly attempts: number; readonly acknowledged: number; readonly failures: readonly string[]; readonly behind: number; readonly withoutMs: number; readonly slowestMs: number; readonly perSecond: number }

interface Reply { readonly status: number; readonly body: any; readonly token: string | undefined }

const patienceMs = 15_000
const retryMs = 100

export class Load {
  readonly ledger = new Ledger()
  readonly #url: string
  readonly #attempts: Attempt[] = []
  readonly #agents: http.Agent[]
  #stopping = new AbortController()
  #writing: Promise<unknown> = Promise.resolve()

  constructor(url: string, writers: number) {
    this.#url = url
    this.#agents = Array.from({ length: writers }, () => new http.Agent({ keepAlive: true, maxSockets: 2 }))
  }

  async prepare(): Promise<void> { await this.ledger.prepare(this.#url) }

  start(): void {
    const stopping = this.#stopping = new AbortController()
    this.#writing = Promise.all(this.#agents.map((_, index) => this.#write(index, stopping.signal)))
    // Told by `pause`.
    this.#writing.catch(() => {})
  }

  /** Resolves when nothing is under way. */
  async pause(): Promise<void> {
    this.#stopping.abort()
    await this.#writing
  }

  close(): void { for (const agent of this.#agents) agent.destroy() }

  get acknowledged(): number { return this.#attempts.reduce((sum, one) => sum + Number(one.isWrite && one.failure === null), 0) }

  /** So many more writes than now. */
  async more(count: number, withinMs = 60_000): Promise<void> {
    const wanted = this.acknowledged + count
    await until(() => this.acknowledged >= wanted, `${count} writes are acknowledged`, withinMs)
  }

  /** What began since, or was under way then. */
  since(sinceMs: number): Window {
    const seen = this.#attempts.filter(one => one.beganMs + one.tookMs >= sinceMs)
    const ends = seen.filter(one => one.isWrite && one.failure === null).map(one => one.beganMs + one.tookMs).sort((a, b) => a - b)
    const [first = sinceMs] = ends
    return {
      attempts: seen.length, acknowledged: ends.length,
      failures: seen.flatMap(one => one.failure === null || isBehind(one.failure) ? [] : one.failure), behind: seen.filter(one => one.failure !== null && isBehind(one.failure)).length,
      withoutMs: ends.reduce((longest, at, index) => Math.max(longest, at - (ends[index - 1] ?? sinceMs)), first - sinceMs),
      slowestMs: seen.reduce((slowest, one) => Math.max(slowest, one.tookMs), 0),
      perSecond: seen.length / (monotonicMs() - sinceMs) * 1_000,
    }
  }

  async #write(index: number, signal: AbortSignal): Promise<void> {
    const { ledger } = this
    const author = ledger.authors[index % ledger.authors.length]!
    const reader = ledger.authors[(index + 1) % ledger.authors.length]!
    while (!signal.aborted) {
      const title = `from writer ${index} ${randomUUID()}`
      const published = await this.#insist(index, 'POST', '/api/articles', author.token, { article: { title, description: 'd', body: 'b', tagList: [`w${index}`, 'all'] } }, signal)
      ledger.articles.set(title, published === null ? 'unknown' : 'acknowledged')
      if (published === null) { ledger.unknown++; continue }
      const { slug } = published.body.article as { slug: string }
      // Through a cache and a replica: what the session has written shows, or it is told that it cannot be shown now.
      const shown = await this.#attempt(index, 'GET', `/api/articles/${slug}`, { authorization: `Token ${author.token}`, ...published.token ? { 'tenfold-token': published.token } : {} })
      if (shown && shown.body?.article?.title !== title) ledger.observed.push(`lost: '${title}' was acknowledged, and ${shown.status} is what its author is shown`)
      const favored = await this.#insist(index, 'POST', `/api/articles/${slug}/favorite`, reader.token, undefined, signal)
      if (favored === null) ledger.unknown++
      else if (favored.status === 404) ledger.observed.push(`lost: '${title}' was acknowledged and is not there`)
      else ledger.favorites.add(`${slug} ${reader.username}`)
    }
  }

  /** Again under the same key until it is answered; null when it is not, some time after the stop. */
  async #insist(index: number, method: string, path: string, token: string, body: unknown, signal: AbortSignal): Promise<Reply | null> {
    const headers = { authorization: `Token ${token}`, 'idempotency-key': randomUUID() }
    for (let after = 0; after < 20; after += signal.aborted ? 1 : 0) {
      const reply = await this.#attempt(index, method, path, headers, body)
      if (reply) return reply
      await sleep(retryMs)
    }
    return null
  }

  /** Null when it was not answered, or not as it should be. */
  async #attempt(index: number, method: string, path: string, headers: Record<string, string>, body?: unknown): Promise<Reply | null> {
    const beganMs = monotonicMs()
    const reply = await this.#send(index, method, path, headers, body).catch((error: Error) => error)
    const failure = reply instanceof Error ? reply.message : reply.status < 300 || reply.status === 404 ? null : `${reply.status} ${JSON.stringify(reply.body).slice(0, 200)}`
    this.#attempts.push({ isWrite: method === 'POST', beganMs, tookMs: monotonicMs() - beganMs, failure: failure && `${method} ${path.replace(/from-writer[^/]*/, ':slug')}: ${failure}` })
    if (reply instanceof Error) return null
    if (failure !== null && reply.status < 500 && reply.status !== 409 && reply.status !== 429) throw new Error(failure)
    return failure === null ? reply : null
  }

  #send(index: number, method: string, path: string, headers: Record<string, string>, body: unknown): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const request = http.request(this.#url + path, { method, agent: this.#agents[index]!, signal: AbortSignal.timeout(patienceMs), headers: { ...headers, 'content-length': Buffer.byteLength(text), ...text ? { 'content-type': 'application/json' } : {} } }, response => {
        let heard = ''
        response.setEncoding('utf8').on('data', chunk => { heard += chunk }).on('error', reject).on('end', () => {
          try { resolve({ status: response.statusCode!, body: heard === '' ? null : JSON.parse(heard), token: response.headers['tenfold-token'] as string | undefined }) } catch (error) { reject(error as Error) }
        })
      })
      request.on('error', reject).end(text)
    })
  }
}
