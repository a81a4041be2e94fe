/**
 * The CDN port on the purge API of a hosted CDN, which differ only in address, headers and
 * body: all three are templates. `{tags}` as a whole value of the body becomes the list;
 * `{list}` within any text becomes the tags joined by `separator`.
 *
 * Calls that come while one is on its way go together in the next, so that a burst of
 * writes stays below the rate limits of such APIs; a refusal for that is waited for.
 */
import { Batcher } from '../../base/batcher.ts'
import { cacheTagsOf } from '../../base/cache-tag.ts'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { now, sleep } from '../../base/time.ts'
import type { Cdn } from '../../ports/cdn.ts'

export interface FetchCdnOptions {
  readonly url: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON; none when left out. */
  readonly body?: unknown
  readonly separator?: string
  /** How many tags the API takes with one call. */
  readonly tagsMax?: number
  readonly attemptsMax?: number
  readonly backoff?: { readonly baseMs: number; readonly capMs: number }
  readonly timeoutMs?: number
  readonly log: Logger
}

type Outcome = 'done' | { readonly retry: boolean; readonly afterMs?: number; readonly why: string }

const standard = { method: 'POST', separator: ' ', tagsMax: 30, attemptsMax: 5, backoff: { baseMs: 200, capMs: 5_000 }, timeoutMs: 10_000 }
const retryAfterMsMax = 60_000

export function openFetchCdn(options: FetchCdnOptions): Cdn {
  const settings = { ...standard, ...options }
  const closing = new AbortController()
  let lastFailed = false
  const batcher = new Batcher(async tags => {
    for (let at = 0; at < tags.length; at += settings.tagsMax) {
      await purgeSurely(settings, tags.slice(at, at + settings.tagsMax), closing.signal).then(() => { lastFailed = false }, (error: unknown) => { lastFailed = true; throw error })
    }
  })
  return {
    async open() {
      // A secret that is missing from the environment is found now, not with the first write.
      new Request(settings.url, { method: settings.method, headers: settings.headers })
    },
    async close() {
      closing.abort()
      await batcher.idle()
    },
    purge: tags => closing.signal.aborted ? Promise.reject(fault('UNAVAILABLE', 'the CDN driver is closed')) : batcher.add(cacheTagsOf(tags)),
    /** There is no harmless question that every such API answers: the last purge tells. */
    healthy: async () => !lastFailed && !closing.signal.aborted,
  }
}

type Settings = FetchCdnOptions & typeof standard

async function purgeSurely(settings: Settings, tags: readonly string[], closing: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await purgeOnce(settings, tags, closing)
    if (outcome === 'done') return
    if (!outcome.retry || attempt >= settings.attemptsMax || closing.aborted) {
      throw fault('UNAVAILABLE', `the CDN at ${new URL(settings.url).host} did not purge ${tags.length} tags: ${outcome.why}`)
    }
    const pauseMs = outcome.afterMs ?? backoffMs(settings.backoff, attempt)
    settings.log.warn({ attempt, pauseMs, why: outcome.why }, 'the CDN did not purge; trying again')
    await sleep(pauseMs, closing)
  }
}

async function purgeOnce(settings: Settings, tags: readonly string[], closing: AbortSignal): Promise<Outcome> {
  const list = tags.join(settings.separator)
  const body = settings.body === undefined ? undefined : JSON.stringify(filled(settings.body, tags, list))
  try {
    const answer = await fetch(settings.url.replaceAll('{list}', () => encodeURIComponent(list)), {
      method: settings.method, redirect: 'error', signal: AbortSignal.any([closing, AbortSignal.timeout(settings.timeoutMs)]), ...(body === undefined ? {} : { body }),
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...filled(settings.headers ?? {}, tags, list) as Record<string, string> },
    })
    const text = await answer.text()
    if (answer.ok) return 'done'
    const retry = answer.status >= 500 || answer.status === 429 || answer.status === 408
    return { retry, afterMs: retryAfterMs(answer.headers.get('retry-after')), why: `status ${answer.status} ${text.slice(0, 200)}` }
  } catch (error) {
    const { message, cause } = error as Error & { cause?: Error }
    return { retry: true, why: cause?.message ?? message }
  }
}

function filled(template: unknown, tags: readonly string[], list: string): unknown {
  if (template === '{tags}') return tags
  if (typeof template === 'string') return template.replaceAll('{list}', () => list)
  if (Array.isArray(template)) return template.map(one => filled(one, tags, list))
  if (typeof template !== 'object' || template === null) return template
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, filled(value, tags, list)]))
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function retryAfterMs(text: string | null): number | undefined {
  if (text === null) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now()
  return Number.isFinite(ms) ? Math.min(retryAfterMsMax, Math.max(0, ms)) : undefined
}
