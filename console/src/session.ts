/** Asks the admin port, with the session it gave this page; an action carries its CSRF token. */

export interface SessionFacts {
  readonly login: 'free' | 'needed' | 'given'
  readonly csrf: string | null
  readonly application?: string
  readonly topology?: string
}

export class Refusal extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

let csrf: string | null = null

async function read<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(path, { ...init, credentials: 'same-origin' }).catch((error: unknown) => {
    if (init.signal?.aborted) throw error
    throw new Refusal(0, 'UNREACHABLE', 'The deployment does not answer. It may be stopped, or starting again.')
  })
  const body: unknown = await response.json().catch(() => null)
  if (response.ok) return body as T
  const { code = 'UNKNOWN', message = `${path} was answered with ${response.status}` } = (body ?? {}) as { code?: string; message?: string }
  if (response.status === 401) window.dispatchEvent(new Event('tenfold-login'))
  throw new Refusal(response.status, code, message)
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => read<T>(path, signal ? { signal } : {})

export async function begin(): Promise<SessionFacts> {
  const facts = await get<SessionFacts>('/session')
  csrf = facts.csrf
  return facts
}

export async function login(token: string): Promise<SessionFacts> {
  const facts = await read<SessionFacts>('/session', { method: 'POST', body: JSON.stringify({ token }) })
  csrf = facts.csrf
  return facts
}

/** A session that has run out meanwhile is begun again, once. */
export async function act<T>(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const send = () => read<T>(path, { method, headers: { 'tenfold-csrf': csrf ?? '' }, ...body === undefined ? {} : { body: JSON.stringify(body) } })
  try {
    return await send()
  } catch (error) {
    if (!(error instanceof Refusal) || (error.status !== 403 && error.status !== 401)) throw error
    await begin()
    return send()
  }
}
