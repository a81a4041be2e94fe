/**
 * The admin port, on loopback only: what runs, as JSON, and what may be done to it. To do
 * something takes the token that only readers of the data folder can make, in a header
 * that no web page can send here unasked.
 */
import { timingSafeEqual } from 'node:crypto'
import http from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fault, isTenfoldError } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { IntentCount } from '../runtime/statistics.ts'

export interface AdminServer { readonly url: string; close(): Promise<void> }

type Pages = Readonly<Record<string, () => unknown>>

export async function startAdminServer(deployment: Deployment, port: number): Promise<AdminServer> {
  const pages: Pages = {
    '/status': () => statusOf(deployment),
    '/plan': () => deployment.plan,
    '/statistics': () => statisticsOf(deployment),
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
  const server = http.createServer({ headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 }, (request, response) => {
    void answer(request, deployment.adminToken, pages, actions).then(body => send(response, 200, body), (error: unknown) => {
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

async function answer({ method, url = '', headers }: IncomingMessage, token: string, pages: Pages, actions: Pages): Promise<unknown> {
  const [page, action] = [pages[url], actions[url]]
  if (!page && !action) throw fault('NOT_FOUND', `there is no ${url}; GET ${Object.keys(pages).join(', ')}; POST ${Object.keys(actions).join(', ')}`)
  if (page) {
    if (method !== 'GET') throw fault('METHOD_NOT_ALLOWED', `GET ${url}`)
    return page()
  }
  if (method !== 'POST') throw fault('METHOD_NOT_ALLOWED', `POST ${url}`)
  if (!isToken(headers.authorization, token)) throw fault('UNAUTHENTICATED', `POST ${url} takes the header 'Authorization: Bearer <token>' of this deployment's data folder; 'tenfold restart' and 'tenfold flush-cache' send it when TENFOLD_DATA names the same folder`)
  return action!()
}

function isToken(header: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)]
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
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
