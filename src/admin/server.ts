/** The admin port: what runs, as JSON, on loopback only. */
import http from 'node:http'
import { fault } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import { mergeStatistics } from '../runtime/statistics.ts'
import type { IntentCount } from '../runtime/statistics.ts'

export interface AdminServer { readonly url: string; close(): Promise<void> }

export async function startAdminServer(deployment: Deployment, port: number): Promise<AdminServer> {
  const server = http.createServer({ headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 }, async (request, response) => {
    const pages: Readonly<Record<string, () => unknown>> = {
      '/status': () => ({ application: deployment.plan.application, topology: deployment.plan.topology, url: deployment.url, processes: deployment.orchestrator.observe() }),
      '/plan': () => deployment.plan,
      '/statistics': async () => mergeStatistics((await deployment.orchestrator.ask('statistics')).map(one => one.answer as IntentCount[])),
    }
    const page = pages[request.url ?? '']
    response.writeHead(page ? 200 : 404, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    response.end(JSON.stringify(page ? await page() : { pages: Object.keys(pages) }))
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
