/**
 * The embedded primary and its replicas, made, watched and made again. When the primary dies
 * a replica is promoted, if no acknowledged write can be missing there; else the primary is
 * started again, where everything is.
 *
 *   primary dies ─▶ fence it ─▶ enough replicas answer, of those that commits waited for?
 *     no  ─▶ start it again
 *     yes ─▶ write down the next primary and epoch ─▶ promote the one with most of the log
 *            ─▶ the others follow it ─▶ the old one is made anew, as a replica
 */
import pg from 'pg'
import { every, monotonicMs, sleep } from '../../base/time.ts'
import { readGroupState, writeGroupState } from './group-state.ts'
import type { GroupState } from './group-state.ts'
import { Member } from './server-member.ts'
import type { MemberOptions } from './server-member.ts'
import type { Guard } from './server-role.ts'
import { urlOfMembers } from './members.ts'

export interface PostgresGroupOptions extends MemberOptions {
  readonly replicas: number
  /** How many replicas have a commit on disk before it is acknowledged. */
  readonly synchronous: number
  /** 'always' promotes also where acknowledged writes may be missing: for negative controls. */
  readonly promotes?: 'safely' | 'always'
  /** False lets a primary that was replaced live, and processes write to it: for negative controls. */
  readonly fences?: boolean
  /** How long a replica may not follow before it is made anew. */
  readonly attachMs?: number
}

export interface PostgresGroup {
  /** Superuser, with the addresses of all members: see members.ts. */
  readonly url: string
  readonly adopted: boolean
  readonly state: GroupState
  readonly members: readonly Member[]
  /** All of them; the primary first, so that every replica has all of the log. */
  stop(): Promise<void>
  /** Stops watching and leaves them running. */
  detach(): void
  /** Calls back after each promotion, with how long there was no primary. */
  onPromotion(callback: (state: GroupState, withoutMs: number) => void): void
}

const tendMs = 500
const attachMs = 15_000
/** A primary that has not answered for so long, and so often, is held for dead, and made so: the machine may only be busy. */
const silenceMs = 8_000
const silencesMax = 4
const electionMs = 3_000
/** A replica that did not start so often is made anew. */
const startsMax = 2
const restartPauseMs = 500

export async function startPostgresGroup(options: PostgresGroupOptions): Promise<PostgresGroup> {
  const state = await readGroupState(options.dataFolder)
  const group = new Group(options, state)
  try { await group.start() } catch (error) {
    await group.stop().catch(() => {})
    throw error
  }
  return group
}

class Group implements PostgresGroup {
  readonly members: readonly Member[]
  state: GroupState
  url = ''
  adopted = false
  readonly #options: PostgresGroupOptions
  readonly #callbacks: ((state: GroupState, withoutMs: number) => void)[] = []
  readonly #stopping = new AbortController()
  #password = ''
  /** What the primary waits for, as it is known to count there. */
  #guard: Guard = { count: 0, names: [] }
  #unwatch = () => {}
  #answeredAtMs = monotonicMs()
  #silences = 0
  /** Since when a replica has not followed, by its index. */
  readonly #astrayAtMs = new Map<number, number>()
  /** How often a replica has not started: its log may have gone another way than that of the primary. */
  readonly #failures = new Map<Member, number>()
  readonly #mending = new Map<Member, Promise<void>>()
  /** One thing at a time: tending, or a failover. */
  #working: Promise<void> = Promise.resolve()

  constructor(options: PostgresGroupOptions, state: GroupState) {
    this.#options = options
    this.state = state
    this.members = Array.from({ length: Math.max(options.replicas, state.primary) + 1 }, (_, index) => new Member(index, options))
  }

  get #mayPromote(): boolean { return this.#guard.count > 0 || this.#options.promotes === 'always' }
  get #primary(): Member { return this.members[this.state.primary]! }
  get #others(): readonly Member[] { return this.members.filter(member => member !== this.#primary).slice(0, this.#options.replicas) }

  async start(): Promise<void> {
    for (const member of this.members) await member.prepare()
    await this.#startPrimary()
    this.#password = decodeURIComponent(new URL(this.#primary.server!.url).password)
    this.adopted = this.#primary.server!.adopted
    const started = await Promise.allSettled(this.#others.map(member => this.#startReplica(member)))
    for (const one of started) if (one.status === 'rejected') this.#options.log.error({ err: one.reason }, 'a replica could not be started; it is tried again')
    this.url = urlOfMembers(this.#primary.server!.url, this.members, this.#options.fences)
    await this.#setGuard(true)
    this.#unwatch = every(tendMs, () => this.#inTurn(() => this.#tend()))
  }

  async #startPrimary(): Promise<void> {
    const member = this.#primary
    const server = await member.start('primary')
    server.onExit(() => { void this.#inTurn(() => this.#lost()) })
    this.#answeredAtMs = monotonicMs()
    // A promotion that was cut short: it had been decided and written down.
    if (await member.isStandby()) await member.promote(this.#guard, this.#others.map(other => other.name))
  }

  async #startReplica(member: Member): Promise<void> {
    const primary = this.#primary.addressWith(this.#password)
    const failures = this.#failures.get(member) ?? 0
    if (!member.isMade || !await member.isStandby() || failures >= startsMax) await member.make(primary)
    else {
      await this.#primary.makeSlots([member.name])
      await member.writeRole({ is: 'replica', name: member.name, of: primary })
    }
    this.#failures.set(member, failures + 1)
    await member.start('replica')
    this.#failures.delete(member)
    // One that was adopted has read its role when it started.
    await member.take({ is: 'replica', name: member.name, of: primary })
    this.#astrayAtMs.set(member.index, monotonicMs())
  }

  /**
   * The replicas that commits wait for, once enough of them follow. Never fewer than before
   * while the primary lives: a commit then waits. A change counts for an election when every
   * commit acknowledged before it is on as many replicas as those after it will be.
   */
  async #setGuard(isFirst = false): Promise<void> {
    const { synchronous: count } = this.#options
    const wanted: Guard = { count, names: count === 0 ? [] : this.#others.map(member => member.name) }
    if (!isFirst && this.#guard.count === count && this.#guard.names.join() === wanted.names.join()) return
    const followers = await this.#primary.followers()
    if (this.#others.filter(({ name }) => followers.has(name)).length < count) return
    // More may confirm from now on: all of them are asked in an election.
    if (this.#guard.count > 0) this.#guard = { count: this.#guard.count, names: wanted.names }
    await this.#primary.take({ is: 'primary', guard: wanted })
    if (await this.#primary.confirmed(count, electionMs)) this.#guard = wanted
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#working.then(async () => {
      if (!this.#stopping.signal.aborted) await work()
    }).catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) this.#options.log.error({ err: error }, 'the group of Postgres servers could not be tended; trying again')
    })
    this.#working = turn
    return turn
  }

  async #tend(): Promise<void> {
    if (this.#primary.server?.pid == null) return this.#lost()
    const followers = await this.#primary.followers().catch((error: unknown) => error instanceof pg.DatabaseError ? 'it refuses' : null)
    if (followers === null) {
      this.#silences++
      if (this.#mayPromote && this.#silences >= silencesMax && monotonicMs() - this.#answeredAtMs > silenceMs) await this.#lost()
      return
    }
    this.#silences = 0
    this.#answeredAtMs = monotonicMs()
    // For instance while it starts, or has no connection left: that is an answer too.
    if (followers === 'it refuses') return
    // A promotion that was cut short.
    if (await this.#primary.isStandby()) await this.#primary.promote(this.#guard, this.#others.map(member => member.name))
    for (const member of this.#others) {
      if (followers.has(member.name)) this.#astrayAtMs.delete(member.index)
      else if (!this.#mending.has(member)) await this.#mendLater(member)
    }
    await this.#setGuard()
  }

  /** Not in turn: a copy may take long, and the primary may die meanwhile. */
  async #mendLater(member: Member): Promise<void> {
    // To make it anew is to end it.
    if (this.#options.fences === false) return
    const sinceMs = this.#astrayAtMs.get(member.index)
    if (sinceMs === undefined) this.#astrayAtMs.set(member.index, monotonicMs())
    const isRunning = member.server !== null && member.isMade && await member.isStandby()
    if (isRunning && monotonicMs() - (sinceMs ?? Infinity) < (this.#options.attachMs ?? attachMs)) return
    if (isRunning && sinceMs === undefined) return
    const mending = this.#mend(member, isRunning)
      .catch((error: unknown) => { if (!this.#stopping.signal.aborted) this.#options.log.error({ err: error, replica: member.name }, 'a replica could not be mended; trying again') })
      .finally(() => { this.#mending.delete(member) })
    this.#mending.set(member, mending)
  }

  /** One that does not follow although it has had the time is made anew: its log may be gone, or be another's. */
  async #mend(member: Member, isAstray: boolean): Promise<void> {
    if (isAstray) {
      this.#options.log.warn({ replica: member.name }, 'a replica does not follow; it is made anew')
      await member.make(this.#primary.addressWith(this.#password))
    }
    await this.#startReplica(member)
  }

  /** The primary is gone, or as good as that. */
  async #lost(): Promise<void> {
    const dead = this.#primary
    const sinceMs = monotonicMs()
    if (this.#options.fences !== false) dead.fence()
    dead.server?.detach()
    dead.server = null
    const fencedMs = monotonicMs()
    const next = await this.#elect()
    const electedMs = monotonicMs()
    if (next === null) {
      await this.#startPrimary().catch(async (error: unknown) => {
        await sleep(restartPauseMs, this.#stopping.signal)
        throw error
      })
      this.#options.log.warn({ port: dead.port, ms: Math.round(monotonicMs() - sinceMs) }, 'the primary had died and runs again')
      return
    }
    await this.#promote(next, sinceMs, { fenceMs: Math.round(fencedMs - sinceMs), electionMs: Math.round(electedMs - fencedMs) })
  }

  /** The replica with most of the log, if it is sure to have everything acknowledged; else null. */
  async #elect(): Promise<Member | null> {
    const { names, count } = this.#guard
    const isBold = this.#options.promotes === 'always'
    if (count === 0 && !isBold) return null
    const candidates = this.#others.filter(member => isBold || names.includes(member.name))
    // Every write is on `count` of them: of all but `count - 1`, one has it.
    const needed = isBold ? 1 : names.length - count + 1
    const deadlineMs = monotonicMs() + electionMs
    for (;;) {
      const found = (await Promise.all(candidates.map(async member => ({ member, lsn: await member.received() })))).filter(one => one.lsn !== null)
      if (found.length >= needed) return found.reduce((best, one) => one.lsn! > best.lsn! ? one : best).member
      if (monotonicMs() > deadlineMs) return null
      await sleep(20)
    }
  }

  async #promote(next: Member, sinceMs: number, phases: Readonly<Record<string, number>>): Promise<void> {
    const old = this.#primary
    const rest = this.members.filter(member => member !== next && member !== old)
    const alive = rest.filter(member => member.server !== null)
    // The old one cannot confirm anything until it has been made anew; until then the others do, as far as there are any.
    const guard: Guard = { count: Math.min(this.#options.synchronous, alive.length), names: this.#options.synchronous === 0 ? [] : alive.map(member => member.name) }
    this.state = { epoch: this.state.epoch + 1, primary: next.index }
    const decided = writeGroupState(this.#options.dataFolder, this.state)
    const primary = next.addressWith(this.#password)
    // The others turn to it meanwhile, so that its first commit is confirmed at once.
    const turning = Promise.allSettled(alive.map(member => member.take({ is: 'replica', name: member.name, of: primary })))
    await next.promote(guard, alive.map(member => member.name), decided).finally(() => decided)
    this.#guard = guard
    const withoutMs = monotonicMs() - sinceMs
    this.#options.log.warn({ epoch: this.state.epoch, old: old.port, port: next.port, ms: Math.round(withoutMs), ...phases }, 'the primary had died; a replica has been promoted')
    for (const callback of this.#callbacks) callback(this.state, withoutMs)
    await turning
    await this.#watchAsPrimary(next)
    for (const member of this.#others) this.#astrayAtMs.set(member.index, monotonicMs())
  }

  /** From now on its end is judged, not just mended. */
  async #watchAsPrimary(member: Member): Promise<void> {
    member.server?.detach()
    const server = await member.start('primary')
    server.onExit(() => { void this.#inTurn(() => this.#lost()) })
    this.#answeredAtMs = monotonicMs()
  }

  onPromotion(callback: (state: GroupState, withoutMs: number) => void): void { this.#callbacks.push(callback) }

  detach(): void {
    this.#stopping.abort()
    this.#unwatch()
    for (const member of this.members) member.server?.detach()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#unwatch()
    await this.#working
    await this.#primary.stop()
    await Promise.all(this.#mending.values())
    await Promise.all(this.members.map(member => member.stop()))
  }
}
