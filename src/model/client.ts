/**
 * A typed client over HTTP: `createClient(app, url).articles.publish({ … })`. Input and
 * output types come from the application; it remembers the consistency token, so that it
 * reads its own writes.
 */
import { errorTable, fault } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import type { Application, Callable } from './app.ts'
import type { Command } from './command.ts'
import { parseRoute } from './manifest.ts'
import type { Query } from './query.ts'

export interface ClientOptions {
  /** Sent with every call; a function is asked each time. */
  readonly headers?: Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>)
}

const codes = Object.keys(errorTable) as ErrorCode[]

export function createClient<App extends Application>(app: App, url: string, options: ClientOptions = {}): Callable<App> {
  const session: { token?: string } = {}
  const services: Record<string, Record<string, (input: Record<string, unknown>) => Promise<unknown>>> = {}
  for (const intent of app.intents.values()) {
    if (intent.kind !== 'query' && intent.kind !== 'command') continue
    const { http } = (intent as Query | Command).definition
    if (!http) continue
    const name = intent.name.slice(intent.service.name.length + 1)
    ;(services[intent.service.name] ??= {})[name] = input => send(url, http, input, session, options)
  }
  return services as Callable<App>
}

async function send(url: string, http: `${string} /${string}`, input: Record<string, unknown>, session: { token?: string }, options: ClientOptions): Promise<unknown> {
  const { method, path } = parseRoute(http as Parameters<typeof parseRoute>[0])
  const rest = { ...input }
  const filled = path.replace(/:([^/]+)/g, (_, name: string) => {
    const value = rest[name]
    delete rest[name]
    return encodeURIComponent(String(value))
  })
  const file = rest.upload instanceof Blob ? rest.upload : undefined
  if (file) delete rest.upload
  const query = method === 'GET' || file ? `?${new URLSearchParams(Object.entries(rest).filter(([, value]) => value !== undefined).map(([name, value]): [string, string] => [name, String(value)]))}` : ''
  const given = typeof options.headers === 'function' ? options.headers() : options.headers
  const answer = await fetch(url + filled + query, {
    method, ...(method === 'GET' ? {} : { body: file ?? JSON.stringify(rest) }),
    headers: { ...(method === 'GET' ? {} : { 'content-type': file?.type ?? 'application/json' }), ...(session.token ? { 'tenfold-token': session.token } : {}), ...given },
  })
  session.token = answer.headers.get('tenfold-token') ?? session.token
  const text = await answer.text()
  if (answer.ok) return text === '' ? undefined : JSON.parse(text) as unknown
  const code = codes.find(one => errorTable[one].status === answer.status) ?? 'INTERNAL'
  throw fault(code, `${method} ${filled}: ${answer.status} ${text}`)
}
