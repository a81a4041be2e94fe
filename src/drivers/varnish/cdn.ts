/** The CDN port on Varnish: purges by tag over HTTP, from this machine, with the secret of its configuration. */
import type http from 'node:http'
import { cacheTagsOf } from '../../base/cache-tag.ts'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import { nodeHttp } from '../../base/node-http.ts'
import { sleep } from '../../base/time.ts'
import type { Cdn } from '../../ports/cdn.ts'
import { purgeSecretHeader, purgeTagsHeader } from './vcl.ts'

export interface VarnishCdnOptions {
  readonly url: string
  readonly secret: string
}

/** A header of tags stays well below Varnish's http_req_hdr_len of 8 KB. */
const tagsBytesMax = 4_000
const attemptsMax = 3
const retry = { baseMs: 50, capMs: 500 }
const timeoutMs = 2_000
/**
 * Between deciding to store an answer and storing it lies a moment in which a purge finds
 * nothing of it yet: the second purge does.
 */
const secondPurgeMs = 25
const noTag = 'tenfold-health'

export function openVarnishCdn({ url, secret }: VarnishCdnOptions): Cdn {
  const agent = new nodeHttp.Agent({ keepAlive: true, maxSockets: 4 })
  const send = (tags: string): Promise<number> => purgeOnce(url, agent, { [purgeSecretHeader]: secret, [purgeTagsHeader]: tags })
  return {
    async open() {},
    async close() { agent.destroy() },
    async purge(tags) {
      const batches = batchesOf(cacheTagsOf(tags))
      for (const batch of batches) await purgeSurely(() => send(batch), url)
      if (batches.length > 0) await sleep(secondPurgeMs)
      for (const batch of batches) await purgeSurely(() => send(batch), url)
    },
    healthy: () => send(noTag).then(status => status === 200, () => false),
  }
}

function batchesOf(tags: readonly string[]): string[] {
  const batches: string[] = []
  for (const tag of tags) {
    const last = batches.at(-1)
    if (last !== undefined && last.length + 1 + tag.length <= tagsBytesMax) batches[batches.length - 1] = `${last} ${tag}`
    else batches.push(tag)
  }
  return batches
}

async function purgeSurely(send: () => Promise<number>, url: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await send().catch((error: Error) => error)
    if (outcome === 200) return
    if (outcome === 403) throw fault('UNAVAILABLE', `Varnish at ${url} refuses the purge: its secret is another one, or it is not on this machine`)
    if (attempt === attemptsMax) throw fault('UNAVAILABLE', `Varnish at ${url} did not purge: ${outcome instanceof Error ? outcome.message : `status ${outcome}`}`, { cause: outcome })
    await sleep(backoffMs(retry, attempt))
  }
}

function purgeOnce(url: string, agent: http.Agent, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = nodeHttp.request(url, { method: 'PURGE', agent, headers, timeout: timeoutMs }, response => {
      response.resume().on('end', () => resolve(response.statusCode!)).on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`))).on('error', reject).end()
  })
}
