/** Pages that every application has: its OpenAPI document, a page to read it, and its health. */
import type { Application } from '../model/app.ts'
import { openApiOf } from '../model/openapi.ts'
import { openApiPage } from '../model/openapi-page.ts'
import type { Database } from '../ports/database.ts'
import type { HttpAnswer, Route } from '../ports/ingress.ts'

const route = (path: string, name: string): Route => ({ method: 'GET', path, name, bodyBytesMax: 0 })

export const pageRoutes: readonly Route[] = [
  route('/openapi.json', 'page:openapi'),
  route('/docs', 'page:docs'),
  route('/health', 'page:health'),
]

export function pagesOf(app: Application, _database: Database): ReadonlyMap<string, () => HttpAnswer> {
  let document: string | undefined
  let page: string | undefined
  const answer = (type: string, body: string): HttpAnswer => ({ status: 200, headers: { 'content-type': type }, body })
  return new Map([
    ['page:openapi', () => answer('application/json; charset=utf-8', document ??= JSON.stringify(openApiOf(app), null, 2))],
    ['page:docs', () => answer('text/html; charset=utf-8', page ??= openApiPage(openApiOf(app)))],
    ['page:health', () => answer('application/json; charset=utf-8', '{"status":"ok"}')],
  ])
}
