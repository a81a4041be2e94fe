/** Clients that ask all the time, each in its own manner, and write down every request that failed. */
import http from 'node:http'
import { sleep } from '../../src/base/time.ts'

export interface Manner {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** False: a new connection for every request. */
  readonly keepAlive: boolean
  /** Between requests: how long an idle connection is idle. */
  readonly pauseMs: number
}

export interface Load {
  readonly answered: () => number
  /** Articles that were acknowledged. */
  readonly created: () => number
  readonly failures: readonly string[]
  /** Resolves when every client has been answered that often more. */
  more(times: number): Promise<void>
  stop(): Promise<void>
}

/** In the soak as many as there can be, so that the processes that are replaced boot in want of processors. */
const isSoak = process.env.TENFOLD_SOAK === '1'
const [quickMs, newMs] = isSoak ? [5, 10] : [20, 30]

export const manners: readonly Manner[] = [
  ...[quickMs, 50, 350].map(pauseMs => ({ method: 'GET', path: '/api/articles?limit=5', keepAlive: true, pauseMs } as const)),
  ...[30, 200].map(pauseMs => ({ method: 'POST', path: '/api/articles', keepAlive: true, pauseMs } as const)),
  { method: 'GET', path: '/api/articles?limit=5', keepAlive: false, pauseMs: newMs },
  { method: 'POST', path: '/api/articles', keepAlive: false, pauseMs: 50 },
  // Its read models lag while the processes that keep them are replaced; it waits for them.
  { method: 'GET', path: '/api/articles/feed', keepAlive: true, pauseMs: 50 },
]

let sequence = 0
const article = () => JSON.stringify({ article: { title: `article ${process.pid} ${sequence++}`, description: 'd', body: 'b', tagList: [] } })

/** `token` is a person's; who reads the feed has seen all that the others wrote. */
export function startLoad(url: string, token: string): Load {
  const failures: string[] = []
  const stopping = new AbortController()
  const counts = manners.map(() => 0)
  let consistency: string | undefined
  const client = async (manner: Manner, index: number) => {
    const agent = new http.Agent({ keepAlive: manner.keepAlive, maxSockets: 1 })
    while (!stopping.signal.aborted) {
      const { status, consistency: newer } = await send(url, manner, agent, { authorization: `Token ${token}`, ...(consistency && manner.path.endsWith('/feed') ? { 'tenfold-token': consistency } : {}) })
      consistency = newer ?? consistency
      if (typeof status === 'number' && status < 300) counts[index]!++
      else failures.push(`${manner.method} ${manner.path}, ${manner.keepAlive ? 'kept alive' : 'new'}, pause ${manner.pauseMs} ms: ${status}`)
      await sleep(manner.pauseMs)
    }
    agent.destroy()
  }
  const running = manners.map(client)
  return {
    failures,
    answered: () => counts.reduce((sum, count) => sum + count, 0),
    created: () => counts.reduce((sum, count, index) => manners[index]!.method === 'POST' ? sum + count : sum, 0),
    async more(times) {
      const before = [...counts]
      while (counts.some((count, index) => count < before[index]! + times)) await sleep(10)
    },
    async stop() { stopping.abort(); await Promise.all(running) },
  }
}

interface Reply { readonly status: number | string; readonly consistency?: string | undefined }

function send(url: string, { method, path }: Manner, agent: http.Agent, headers: Record<string, string>): Promise<Reply> {
  return new Promise(resolve => {
    const body = method === 'POST' ? article() : undefined
    const request = http.request(`${url}${path}`, { method, agent, timeout: 20_000, headers: { ...headers, ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}) } }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk })
      response.on('error', error => resolve({ status: `answer broken: ${error.message}` }))
      response.on('end', () => resolve({
        status: response.statusCode! < 300 ? response.statusCode! : `${response.statusCode} ${text.slice(0, 200)}`,
        consistency: response.headers['tenfold-token'] as string | undefined,
      }))
    })
    request.on('timeout', () => request.destroy(new Error('no answer within 20 s')))
    request.on('error', error => resolve({ status: `${error.message}${request.reusedSocket ? ' (used before)' : ''}` }))
    request.end(body)
  })
}
