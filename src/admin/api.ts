/** The application's own description of its API, passed on, so that the page needs no other origin. */
import { fault } from '../base/errors.ts'
import { nodeHttp } from '../base/node-http.ts'
import type { Deployment } from '../boot/deployment.ts'
import { Content } from './route.ts'
import type { AdminRoute } from './route.ts'

const answerMs = 5_000

export function apiRoutes({ url }: Deployment): AdminRoute[] {
  return [{ method: 'GET', path: '/openapi.json', answer: async () => new Content(await read(`${url}/openapi.json`), { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }) }]
}

function read(url: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const failed = (why: string) => reject(fault('UNAVAILABLE', `the application does not answer at ${url} (${why}); see the processes`))
    const request = nodeHttp.get(url, { timeout: answerMs, agent: false }, response => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => { parts.push(part) }).on('error', error => failed(error.message))
      response.on('end', () => response.statusCode === 200 ? resolve(Buffer.concat(parts)) : failed(`status ${response.statusCode}`))
    })
    request.on('timeout', () => request.destroy(new Error(`nothing within ${answerMs} ms`))).on('error', error => failed(error.message))
  })
}
