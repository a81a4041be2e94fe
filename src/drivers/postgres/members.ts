/**
 * The servers of one database as a process sees them: which of them is the primary, and on
 * which timeline. An address with `?members=host:port,host:port` names them all; the primary
 * is whichever is not in recovery, on the highest timeline anybody has seen: each promotion
 * begins a new one, so that a primary of before is recognised when it comes back, whoever
 * promoted the other.
 *
 *   known ── a connection to it fails, or a token names a higher timeline ──▶ sought
 *   sought ── one that answers, and is not behind ──▶ known; connections to another are cut
 */
import net from 'node:net'
import pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { after, monotonicMs, sleep } from '../../base/time.ts'
import { ofRuntime } from './attribution.ts'

export interface Address { readonly host: string; readonly port: number }

/** Refused by a replica: there the log is not written. */
export const timelineText = ofRuntime('timeline', `SELECT ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int AS timeline`)
/** Null on a replica, which may be asked often. */
const seekText = ofRuntime('timeline', `SELECT CASE WHEN NOT pg_is_in_recovery() THEN ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int END AS timeline`)

const seekPauseMs = 10
const probeMs = 1_000

/** Adds the addresses of all servers, this one's among them. Without fences, for negative controls, nothing is thought of a primary that was replaced. */
export function urlOfMembers(url: string, members: readonly { readonly host?: string; readonly port: number }[], fences = true): string {
  const whole = new URL(url)
  whole.searchParams.set('members', members.map(({ host = whole.hostname, port }) => `${host}:${port}`).join(','))
  if (!fences) whole.searchParams.set('fence', 'off')
  return whole.href
}

/** One url of several: each may name several servers, as libpq has it. Refuses logins that differ, since a process has one. */
export function urlOfAll(urls: readonly string[]): string {
  if (urls.length === 1 && !urls[0]!.includes(',')) return urls[0]!
  const parts = urls.map(url => {
    const found = /^(postgres(?:ql)?:\/\/(?:[^@/]*@)?)([^/?]+)(.*)$/s.exec(url)
    if (!found) throw fault('USAGE', `the address of one of several database servers is not a url: write postgres://user:password@host:port/database`)
    const [, login, hosts, rest] = found as unknown as [string, string, string, string]
    return { login, hosts: hosts.split(',').map(host => /:\d+$/.test(host) ? host : `${host}:5432`), rest }
  })
  const [first] = parts as [typeof parts[number], ...typeof parts]
  const hosts = [...new Set(parts.flatMap(part => part.hosts))]
  const url = `${first.login}${hosts[0]}${first.rest}`
  const [databases, logins] = [new Set(parts.map(({ rest }) => rest.split('?')[0])), new Set(parts.map(({ login }) => login))]
  if (databases.size > 1 || logins.size > 1) throw fault('USAGE', `the servers of a database are named with different ${logins.size > 1 ? 'logins' : 'databases'}: they are copies of each other, so name the same`)
  return hosts.length === 1 ? url : urlOfMembers(url, hosts.map(addressOf))
}

const addressOf = (text: string): Address => {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) }
}

/** The same for everything in this process that has the same servers and database; null where there is one server only. */
export function membersOf(url: string): Members | null {
  const { pathname, searchParams } = new URL(url)
  const listed = searchParams.get('members')
  if (!listed) return null
  // Whatever the login.
  const name = `${listed}${pathname}`
  let found = known.get(name)
  if (!found) known.set(name, found = new Members(url, listed.split(',').map(addressOf), searchParams.get('fence') !== 'off'))
  return found
}

const known = new Map<string, Members>()

/** A connection to the primary, to be cut when another takes its place. */
export interface Bound { readonly address: Address | null; cut(): void }

export class Members {
  readonly addresses: readonly Address[]
  readonly bound = new Set<Bound>()
  readonly #url: string
  readonly #fences: boolean
  #primary: Address | null = null
  #timeline = 0
  #seeking: Promise<Address> | undefined

  constructor(url: string, addresses: readonly Address[], fences = true) {
    this.#url = url
    this.#fences = fences
    this.addresses = addresses
  }

  /** The highest that anybody here has seen. */
  get timeline(): number { return this.#timeline }

  /** Where the primary is, as far as it is known. */
  get primary(): Address | null { return this.#primary }

  /** The primary, sought for a bounded time where it is not known or does not take connections. */
  async find(): Promise<Address> {
    const known = this.#primary
    if (known && await accepts(known)) return known
    this.lose(known)
    return this.#seek()
  }

  /** It does not answer: the next who asks looks for it. */
  lose(address: Address | null): void {
    if (address && sameAddress(this.#primary, address)) this.#primary = null
  }

  /** A token names this timeline: a primary on a lower one has been replaced. */
  require(timeline: number): void {
    if (timeline <= this.#timeline || !this.#fences) return
    this.#timeline = timeline
    this.#primary = null
    for (const one of this.bound) one.cut()
    void this.#seek().catch(() => {})
  }

  /** What a server that is not in recovery says of itself: false when it is a primary of before. */
  accept(address: Address, timeline: number): boolean {
    if (timeline < this.#timeline && this.#fences) return false
    this.#timeline = timeline
    this.#primary = address
    if (!this.#fences) return true
    for (const one of this.bound) if (one.address && !sameAddress(one.address, address)) one.cut()
    return true
  }

  #seek(): Promise<Address> {
    return this.#seeking ??= this.#seekOnce().finally(() => { this.#seeking = undefined })
  }

  async #seekOnce(): Promise<Address> {
    const deadlineMs = monotonicMs() + limits.connectTimeoutMs
    const probes = this.addresses.map(address => new Probe(this.#url, address))
    try { return await this.#ask(probes, deadlineMs) } finally { for (const probe of probes) probe.close() }
  }

  async #ask(probes: readonly Probe[], deadlineMs: number): Promise<Address> {
    for (;;) {
      const known = this.#timeline
      const asked = probes.map(async probe => ({ address: probe.address, timeline: await probe.timeline() }))
      // One that has just been promoted is waited for alone: the old one may hang. Otherwise all are heard.
      const promoted = Promise.any(asked.map(one => one.then(answer => (answer.timeline ?? 0) > known && known > 0 ? [answer] : Promise.reject(new Error('not promoted')))))
      const answers = await promoted.catch(() => Promise.all(asked))
      const primaries = answers.filter(one => one.timeline !== null).sort((one, other) => other.timeline! - one.timeline!)
      if (primaries[0] && this.accept(primaries[0].address, primaries[0].timeline!)) return primaries[0].address
      if (monotonicMs() > deadlineMs) throw Object.assign(new Error(`none of ${this.addresses.map(textOf).join(', ')} is the primary, of timeline ${this.#timeline} or later`), { code: 'ECONNREFUSED' })
      await sleep(seekPauseMs)
    }
  }
}

export const textOf = ({ host, port }: Address): string => `${host}:${port}`
export const sameAddress = (one: Address | null, other: Address): boolean => one?.host === other.host && one.port === other.port

/** The same login at another address; it names no members, so that it stays there. */
export function urlAt(url: string, { host, port }: Address): string {
  const whole = new URL(url)
  whole.hostname = host
  whole.port = String(port)
  whole.searchParams.delete('members')
  whole.searchParams.delete('fence')
  return whole.href
}

const accepts = ({ host, port }: Address): Promise<boolean> => new Promise(resolve => {
  const socket = net.connect({ host, port })
  const end = (isThere: boolean) => { cancel(); socket.destroy(); resolve(isThere) }
  const cancel = after(probeMs, () => end(false))
  socket.once('connect', () => end(true)).once('error', () => end(false))
})

/** Asks one server again and again on one connection: a login for each question would cost the machine more than the promotion that is waited for. */
class Probe {
  readonly address: Address
  readonly #url: string
  #client: pg.Client | null = null

  constructor(url: string, address: Address) {
    this.#url = urlAt(url, address)
    this.address = address
  }

  /** Null for a replica, and for what does not answer. */
  async timeline(): Promise<number | null> {
    try {
      const client = this.#client ?? await this.#connected()
      return (await client.query<{ timeline: number | null }>(seekText)).rows[0]!.timeline
    } catch {
      this.close()
      return null
    }
  }

  async #connected(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#url, connectionTimeoutMillis: probeMs, query_timeout: probeMs, application_name: 'tenfold primary' })
    client.on('error', () => { if (this.#client === client) this.close() })
    this.#client = client
    await client.connect()
    return client
  }

  /** What it is being asked fails then. */
  close(): void {
    this.#client?.connection.stream.destroy()
    this.#client = null
  }
}
