/**
 * The admin port, on loopback only: what runs, as JSON, and what may be done to it. To do
 * something takes the token that only readers of the data folder can make, in a header
 * that no web page can send here unasked.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fault, isTenfoldError } from '../base/errors.ts'
import { nodeHttp } from '../base/node-http.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { LogBook } from '../boot/log-book.ts'
import type { IntentCount } from '../runtime/statistics.ts'
import { exposition } from './exposition.ts'
import { logList, logStream } from './logs.ts'
import { metricFamilies } from './metrics.ts'
import { traceDetail, traceList } from './traces.ts'

export interface AdminServer { readonly url: string; close(): Promise<void> }

interface Asked { readonly query: URLSearchParams; readonly name: string; readonly headers: IncomingMessage['headers'] }
type Pages = Readonly<Record<string, (asked: Asked) => unknown>>

/** A page that is not JSON. */
export interface TextPage { readonly contentType: string; readonly text: string }

const isTextPage = (body: unknown): body is TextPage => typeof body === 'object' && body !== null && 'contentType' in body

export async function startAdminServer(deployment: Deployment, port: number): Promise<AdminServer> {
  const pages: Pages = {
    '/status': () => statusOf(deployment),
    '/plan': () => deployment.plan,
    '/statistics': () => statisticsOf(deployment),
    '/metrics': async ({ headers }) => exposition(await metricFamilies(deployment), headers.accept),
    '/metrics.json': () => metricFamilies(deployment),
    '/logs': ({ query }) => logList(bookOf(deployment), query),
    '/traces': ({ query }) => traceList(deployment.orchestrator, query),
    '/traces/<traceId>': ({ name }) => traceDetail(deployment.orchestrator, name),
  }
  let restarting = false
  const actions: Pages = {
    '/restart': async () => {
      if (restarting) throw fault('CONFLICT', 'a restart is under way; GET /status shows how far it is')
      restarting = true
      try { await deployment.restart() } finally { restarting = false }
      return statusOf(deployment)
    },
    '/flush-cache': () => flushCache(deployment),
  }
  const server = nodeHttp.createServer({ headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 }, (request, response) => {
    const logs = followedLogs(request)
    const answered = logs ? followLogs(deployment, logs, response) : answer(request, deployment.adminToken, pages, actions).then(body => send(response, 200, body))
    void answered.catch((error: unknown) => {
      if (!isTenfoldError(error)) throw error
      send(response, error.status, { code: error.code, message: error.message })
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE'
      ? fault('USAGE', `the admin port ${port} is taken: stop what listens there, or set ADMIN_PORT to another one`) : error))
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise(resolve => { server.close(() => resolve()); server.closeAllConnections() }),
  }
}

/** The query of a request for the log as it is written. */
function followedLogs({ method, url = '' }: IncomingMessage): URLSearchParams | null {
  const { path, query } = addressOf(url)
  return method === 'GET' && path === '/logs' && query.get('follow') === '1' ? query : null
}

async function followLogs(deployment: Deployment, query: URLSearchParams, response: ServerResponse): Promise<void> { logStream(bookOf(deployment), query, response) }

/** Not URL: that throws at some of what may come. */
function addressOf(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const [path = '', query = ''] = url.split('?', 2)
  return { path, query: new URLSearchParams(query) }
}

function bookOf({ book }: Deployment): LogBook {
  if (!book) throw fault('NOT_SUPPORTED', 'this deployment keeps no log')
  return book
}

async function answer({ method, url = '', headers }: IncomingMessage, token: string, pages: Pages, actions: Pages): Promise<unknown> {
  const { path, query } = addressOf(url)
  const name = /^\/traces\/(\w+)$/.exec(path)?.[1] ?? ''
  const [page, action] = [pages[name ? '/traces/<traceId>' : path], actions[path]]
  if (!page && !action) throw fault('NOT_FOUND', `there is no ${url}; GET ${Object.keys(pages).join(', ')}; POST ${Object.keys(actions).join(', ')}`)
  if (page) {
    if (method !== 'GET') throw fault('METHOD_NOT_ALLOWED', `GET ${url}`)
    return page({ query, name, headers })
  }
  if (method !== 'POST') throw fault('METHOD_NOT_ALLOWED', `POST ${url}`)
  if (!isToken(headers.authorization, token)) throw fault('UNAUTHENTICATED', `POST ${url} takes the header 'Authorization: Bearer <token>' of this deployment's data folder; 'tenfold restart' and 'tenfold flush-cache' send it when TENFOLD_DATA names the same folder`)
  return action!({ query, name, headers })
}

function isToken(header: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)]
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const { contentType, text } = isTextPage(body) ? body : { contentType: 'application/json; charset=utf-8', text: JSON.stringify(body) }
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' })
  response.end(text)
}

async function statisticsOf({ orchestrator }: Deployment): Promise<IntentCount[]> {
  const { mergeStatistics } = await import('../runtime/statistics.ts')
  return mergeStatistics((await orchestrator.ask('statistics')).map(one => one.answer as IntentCount[]))
}

/** The processes that had something to forget. */
async function flushCache({ orchestrator }: Deployment) {
  const answers = await orchestrator.ask('flush-cache')
  return { flushed: answers.filter(one => one.answer === true).map(({ name, replica }) => ({ name, replica })) }
}

function statusOf({ plan, url, orchestrator }: Deployment) {
  const roles = new Map(plan.processes.map(process => [process.name, process.does]))
  return {
    application: plan.application, topology: plan.topology, url,
    processes: orchestrator.observe().map(process => ({ ...process, does: roles.get(process.name), since: new Date(process.startedAtMs).toISOString() })),
  }
}
