/**
 * The admin port: what runs, as JSON and as a page (console/), and what may be done to it.
 * On loopback unless ADMIN_HOST says otherwise; who may do what: guard.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fault } from '../base/errors.ts'
import { nodeHttp } from '../base/node-http.ts'
import type { Deployment } from '../boot/deployment.ts'
import { adviceRoutes } from './advice.ts'
import { apiRoutes } from './api.ts'
import { databaseRoutes } from './database.ts'
import { entranceRoutes } from './entrance.ts'
import { EvidenceDesk } from './evidence.ts'
import { eventRoutes } from './events.ts'
import { Guard } from './guard.ts'
import { jobRoutes } from './jobs.ts'
import { Live } from './live.ts'
import { LoadDesk } from './load.ts'
import { logRoutes } from './logs.ts'
import { Observers } from './observers.ts'
import { pageRoutes, securityHeaders } from './page.ts'
import { measurementRoutes } from './measurements.ts'
import { matched, readBody, refuse, send } from './route.ts'
import type { AdminRoute } from './route.ts'
import { statusRoutes } from './status.ts'
import { traceRoutes } from './traces.ts'

export interface AdminServer { readonly url: string; close(): Promise<void> }

export interface AdminOptions {
  /** 127.0.0.1 unless told otherwise. */
  readonly host?: string | undefined
  /** True: the token is asked for on loopback too. */
  readonly login?: boolean
}

export async function startAdminServer(deployment: Deployment, port: number, { host = '127.0.0.1', login = false }: AdminOptions = {}): Promise<AdminServer> {
  const guard = new Guard({ adminToken: deployment.adminToken, host, port, login })
  const observers = new Observers(deployment)
  const live = new Live(deployment)
  const load = new LoadDesk(deployment)
  const evidence = new EvidenceDesk(deployment, observers)
  const routes: AdminRoute[] = [
    ...pageRoutes(), ...entranceRoutes(deployment, guard), ...statusRoutes(deployment), ...measurementRoutes(deployment), ...traceRoutes(deployment), ...logRoutes(deployment), ...live.routes(), ...databaseRoutes(observers),
    ...jobRoutes(observers), ...eventRoutes(deployment, observers), ...load.routes(), ...evidence.routes(), ...adviceRoutes(deployment, evidence), ...apiRoutes(deployment),
  ]
  const server = nodeHttp.createServer({ headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 }, (request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
    void answer(request, response, guard, routes).then(found => send(response, found)).catch((error: unknown) => refuse(response, error))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(wordedRefusal(error, host, port)))
    server.listen(port, host, resolve)
  })
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    close: async () => {
      live.stop()
      load.stop()
      evidence.stop()
      await new Promise<void>(resolve => { server.close(() => resolve()); server.closeAllConnections() })
      await observers.close()
    },
  }
}

function wordedRefusal(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === 'EADDRINUSE') return fault('USAGE', `the admin port ${port} is taken: stop what listens there, or set ADMIN_PORT to another one`)
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') return fault('USAGE', `ADMIN_HOST is '${host}', which is no address of this machine; leave it out to listen on loopback only`)
  return error
}

async function answer(request: IncomingMessage, response: ServerResponse, guard: Guard, routes: readonly AdminRoute[]): Promise<unknown> {
  guard.assertHost(request)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  // Not URL: that throws at some of what may come.
  const [pathname = '/', query = ''] = (request.url ?? '/').split('?', 2)
  const found = routes.flatMap(route => { const path = matched(route.path, pathname); return path ? [{ route, path }] : [] })
  if (found.length === 0) {
    const listed = (wanted: AdminRoute['method']) => routes.filter(one => one.method === wanted && !one.open).map(one => one.path).join(', ')
    throw fault('NOT_FOUND', `there is no ${pathname}; GET ${listed('GET')}; POST ${listed('POST')}`)
  }
  const chosen = found.find(({ route }) => route.method === method)
  if (!chosen) {
    response.setHeader('allow', found.map(({ route }) => route.method).join(', '))
    throw fault('METHOD_NOT_ALLOWED', found.map(({ route }) => `${route.method} ${route.path}`).join(', '))
  }
  guard.check(request, chosen.route)
  return chosen.route.answer({ request, response, path: chosen.path, query: new URLSearchParams(query), body: () => readBody(request) })
}
