/**
 * pg's client, bound to the primary: where an address names several members it goes to the
 * one that is the primary now, asks it for its timeline, and refuses one that has been
 * replaced. When another becomes the primary the connection is cut. With one server it is
 * pg's client and nothing else.
 */
import pg from 'pg'
import { membersOf, timelineText } from './members.ts'
import type { Address, Bound, Members } from './members.ts'

type Callback = ((error: Error) => void) | ((error: null, client: pg.Client) => void)

export class PrimaryClient extends pg.Client implements Bound {
  readonly #members: Members | null
  address: Address | null = null

  constructor(config: pg.ClientConfig) {
    super(config)
    this.#members = config.connectionString ? membersOf(config.connectionString) : null
  }

  /** pg.Pool calls it with a callback, everybody else waits for the promise. */
  override connect(): Promise<pg.Client>
  override connect(callback: Callback): void
  override connect(callback?: Callback): Promise<pg.Client> | void {
    const connecting = this.#members ? this.#connectTo(this.#members) : super.connect()
    if (!callback) return connecting
    connecting.then(() => (callback as (error: null, client: pg.Client) => void)(null, this), callback as (error: Error) => void)
  }

  async #connectTo(members: Members): Promise<pg.Client> {
    const address = await members.find()
    Object.assign(this, address)
    this.address = address
    members.bound.add(this)
    this.once('end', () => members.bound.delete(this))
    try {
      await super.connect()
      const { rows } = await this.query<{ timeline: number }>(timelineText)
      if (!members.accept(address, rows[0]!.timeline)) throw new Error(`Connection terminated: the Postgres on ${address.host}:${address.port} was the primary once, and has been replaced`)
      return this
    } catch (error) {
      members.lose(address)
      this.cut()
      throw error
    }
  }

  cut(): void {
    this.#members?.bound.delete(this)
    this.connection.stream.destroy()
  }
}

/** A pool of such connections. */
export const primaryPool = (config: pg.PoolConfig): pg.Pool => new pg.Pool({ ...config, Client: PrimaryClient as unknown as new () => pg.ClientBase })
