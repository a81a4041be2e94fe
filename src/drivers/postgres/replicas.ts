/**
 * Chooses who answers a query: a replica that shows what the session has seen and is not far
 * behind; after a bounded wait, the primary. How far behind is measured by positions of the
 * primary, sampled here: what a replica lacks, it has lacked since the first sample beyond it.
 * So a replica that hears nothing any more is found out, and an idle primary makes nobody late.
 */
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Counter } from '../../base/metric-registry.ts'
import { every, monotonicMs, sleep } from '../../base/time.ts'
import type { Position, Reader, ReadWish, Result, Statement } from '../../ports/database.ts'
import type { ConnectionOptions } from './connection.ts'
import { shard } from './log-position.ts'
import type { Members } from './members.ts'
import { isConnectionLoss } from './refusal.ts'
import { Replica } from './replica.ts'
import { claimOwner } from './transaction.ts'

const nowhere: Position = { shard, timeline: 0, lsn: -1n }
const isBehind = (one: Position, other: Position) => one.timeline < other.timeline || (one.timeline === other.timeline && one.lsn < other.lsn)
const sampleMs = 100
const pollMs = 1
/** A primary that has not told its position for so long may have been replaced. */
const silenceMs = 1_000
/** Refused by a replica because of what it replays: nothing is wrong with the statement. */
const conflictCodes = new Set(['40001', '40P01', '57P01', '57P02', '57P03', '25006'])

interface Sample { readonly atMs: number; readonly timeline: number; readonly lsn: bigint }

export interface PrimaryState {
  position(): Promise<Position>
  /** The transactions that are at their COMMIT: what is on disk, and on a replica perhaps, shows on the primary when they have left it. */
  committing(): Promise<readonly string[]>
  /** Statements and transactions under way there. */
  load(): number
}

export class Replicas {
  readonly #members: Members
  readonly #primary: PrimaryState
  readonly #all: readonly Replica[]
  #samples: Sample[] = []
  /** Where the primary's timeline was first seen: a replica that is beyond it is on that timeline. */
  #start: Position | null = null
  /** Everything at or below shows on the primary too. */
  #settledAt: Position | null = null
  #nextSettled: Promise<void> | undefined
  #sampling: Promise<void> | undefined
  #stop = () => {}
  #turn = 0
  readonly #counts: { readonly replica: Counter; readonly primary: Counter } | null

  constructor(options: ConnectionOptions, members: Members, primary: PrimaryState) {
    this.#members = members
    this.#primary = primary
    const counter = (server: string) => options.metrics!.counter('tenfold_database_readers_total', server)
    this.#counts = options.metrics ? { replica: counter('replica'), primary: counter('primary') } : null
    this.#all = members.addresses.map(address => new Replica(options, address))
  }

  async open(): Promise<void> {
    await this.look()
    this.#stop = every(sampleMs, () => this.look())
  }

  async close(): Promise<void> {
    this.#stop()
    await Promise.all(this.#all.map(replica => replica.close()))
  }

  /** Samples the primary and asks every replica, without waiting for those that take long. */
  async look(): Promise<void> {
    this.#sampling ??= this.#sample().finally(() => { this.#sampling = undefined })
    await Promise.race([Promise.all([this.#sampling, ...this.#all.map(replica => replica.look(this.#members))]), sleep(sampleMs)])
  }

  /** A primary that does not answer is sought anew: another may have taken its place. */
  async #sample(): Promise<void> {
    const position = await Promise.race([this.#primary.position().catch(() => null), sleep(silenceMs).then(() => null)])
    if (position) {
      this.#learn(position)
      // Not waited for: a commit may take as long as its replicas do.
      this.#settled().then(() => { if (!this.#settledAt || isBehind(this.#settledAt, position)) this.#settledAt = position }, () => {})
      return
    }
    this.#members.lose(this.#members.primary)
    await this.#members.find().catch(() => {})
  }

  /** Throws nothing: a primary that is behind these is not written to any more. */
  require(positions: readonly Position[] = []): void {
    for (const { timeline } of positions) this.#members.require(timeline)
  }

  #learn(position: Position): void {
    const atMs = monotonicMs()
    if (this.#start === null || position.timeline > this.#start.timeline) {
      this.#start = position
      this.#samples = []
    }
    if (this.#samples.at(-1)?.lsn !== position.lsn) this.#samples.push({ ...position, atMs })
    // The oldest that is kept is older than any lag that is allowed.
    while (this.#samples.length > 2 && this.#samples[1]!.atMs < atMs - 2 * limits.replicaLagMaxMs) this.#samples.shift()
  }

  /** How long it has lacked something that was on the primary. */
  lagMsOf(replica: Replica): number {
    const missed = this.#samples.find(({ lsn }) => lsn > replica.replayed)
    return missed ? monotonicMs() - missed.atMs : 0
  }

  #isUsable(replica: Replica): boolean {
    const start = this.#start
    return start !== null && replica.isStandby && replica.timeline === start.timeline && start.timeline === this.#members.timeline
      && replica.replayed >= start.lsn && this.lagMsOf(replica) <= limits.replicaLagMaxMs
  }

  choose({ after, server }: ReadWish, primary: PrimaryReading): Reader | Promise<Reader> {
    this.require(after)
    const usable = this.#all.filter(replica => this.#isUsable(replica) && (server === undefined || replica.server === server))
    const reached = usable.filter(replica => replica.reaches(after))
    if (reached.length > 0) {
      const best = this.#idlest(reached)
      // All are busy, and the primary least: it reads too. Not for a session that has seen something: what it sees next, no replica might show yet.
      return after.length === 0 && server === undefined && this.#primary.load() < best.load ? this.#atPrimary(primary, after) : this.#at(best, primary)
    }
    return usable.length > 0 ? this.#await(usable, after, primary) : this.#atPrimary(primary, after)
  }

  /** The one with the fewest statements under way, in turn where they are equal. */
  #idlest(replicas: readonly Replica[]): Replica {
    const turn = this.#turn++
    let best = replicas[turn % replicas.length]!
    for (const replica of replicas) if (replica.load < best.load) best = replica
    return best
  }

  async #await(usable: readonly Replica[], after: readonly Position[], primary: PrimaryReading): Promise<Reader> {
    const deadlineMs = monotonicMs() + limits.replicaWaitMs
    while (monotonicMs() < deadlineMs) {
      await Promise.race([Promise.all(usable.map(replica => replica.look(this.#members))), sleep(deadlineMs - monotonicMs())])
      const reached = usable.filter(replica => this.#isUsable(replica) && replica.reaches(after))
      if (reached.length > 0) return this.#at(this.#idlest(reached), primary)
      await sleep(pollMs)
    }
    return this.#atPrimary(primary, after)
  }

  #at(replica: Replica, primary: PrimaryReading): Reader {
    this.#counts?.replica.add()
    return new ReplicaReader(replica, primary)
  }

  /** A replica may have shown a commit to this session that does not show here yet. */
  #atPrimary(primary: PrimaryReading, after: readonly Position[]): Reader | Promise<Reader> {
    this.#counts?.primary.add()
    return after.length === 0 ? this.here(primary) : this.#settled().then(() => this.here(primary))
  }

  /** The primary, and what is sure to show there. */
  here(primary: PrimaryReading): Reader {
    return {
      server: primary.server, shows: this.#settledAt ?? nowhere,
      query: statement => primary.query(statement), claimed: (scope, value) => primary.claimed(scope, value), shown: () => primary.shown(),
    }
  }

  /** Resolves when everything that was committed to disk before the call shows on the primary; callers of the same moment wait together. */
  #settled(): Promise<void> {
    return this.#nextSettled ??= new Promise((resolve, reject) => setImmediate(() => {
      this.#nextSettled = undefined
      this.#settle().then(resolve, reject)
    }))
  }

  async #settle(): Promise<void> {
    const deadlineMs = monotonicMs() + limits.projectionWaitMs
    let pending = await this.#primary.committing()
    while (pending.length > 0) {
      if (monotonicMs() > deadlineMs) throw fault('PROJECTION_BEHIND', `a commit has waited for its replicas for ${limits.projectionWaitMs} ms`, { retryAfterMs: 1_000 })
      await sleep(pollMs)
      const now = new Set(await this.#primary.committing())
      pending = pending.filter(one => now.has(one))
    }
  }
}

/** What a primary reads for a service. */
export interface PrimaryReading extends Reader { readonly service: string }

/** Reads on one replica, and goes on at the primary when that fails. */
class ReplicaReader implements Reader {
  readonly shows: Position
  #replica: Replica | null
  readonly #primary: PrimaryReading

  constructor(replica: Replica, primary: PrimaryReading) {
    this.shows = replica.position
    this.#replica = replica
    this.#primary = primary
  }

  get server(): string { return this.#replica?.server ?? this.#primary.server }

  query<Row>(statement: Statement): Promise<Result<Row>> {
    return this.#try(replica => replica.query<Row>(this.#primary.service, statement), () => this.#primary.query<Row>(statement))
  }

  async claimed(scope: string, value: string): Promise<string | null> {
    const { rows } = await this.query<{ owner: string }>(claimOwner(this.#primary.service, scope, value))
    return rows[0]?.owner ?? null
  }

  shown(): Promise<Position> {
    return this.#try(replica => replica.shown(), () => this.#primary.shown())
  }

  /** Reading twice does no harm; what the primary shows is nothing less. */
  async #try<T>(there: (replica: Replica) => Promise<T>, here: () => Promise<T>): Promise<T> {
    const replica = this.#replica
    if (!replica) return here()
    try { return await there(replica) } catch (error) {
      const cause = (error as { readonly cause?: unknown }).cause ?? error
      const isConflict = conflictCodes.has((cause as { readonly code?: string }).code ?? '')
      if (!isConflict && !isConnectionLoss(cause)) throw error
      if (!isConflict) replica.lose()
      this.#replica = null
      return here()
    }
  }
}
