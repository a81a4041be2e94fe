/** The cookies of one user, for one site: what a browser would send back. Paths and domains are not told apart. */
import { now } from '../base/time.ts'

interface Cookie { readonly value: string; readonly untilMs: number }

export class CookieJar {
  readonly #cookies = new Map<string, Cookie>()

  /** Takes a Set-Cookie header. */
  take(header: string): void {
    const [pair = '', ...attributes] = header.split(';')
    const at = pair.indexOf('=')
    if (at < 1) return
    const attribute = (name: string) => attributes.find(one => one.trim().toLowerCase().startsWith(`${name}=`))?.split('=')[1]
    const maxAge = attribute('max-age')
    const expires = attribute('expires')
    const untilMs = maxAge !== undefined ? now() + Number(maxAge) * 1_000 : expires !== undefined ? Date.parse(expires) : Infinity
    this.#cookies.set(pair.slice(0, at).trim(), { value: pair.slice(at + 1).trim(), untilMs })
  }

  /** The Cookie header, or undefined when there are none. */
  header(): string | undefined {
    if (this.#cookies.size === 0) return undefined
    const nowMs = now()
    for (const [name, { untilMs }] of this.#cookies) if (untilMs <= nowMs) this.#cookies.delete(name)
    return this.#cookies.size === 0 ? undefined : [...this.#cookies].map(([name, { value }]) => `${name}=${value}`).join('; ')
  }
}
