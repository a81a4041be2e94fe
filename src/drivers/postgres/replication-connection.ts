/**
 * A connection that speaks Postgres's replication protocol: commands for slots and base
 * backups, and what they copy out, at the pace of whoever reads it.
 */
import { PassThrough } from 'node:stream'
import type { Readable } from 'node:stream'
import pg from 'pg'
import { limits } from '../../base/limits.ts'

export interface ServerAddress { readonly host: string; readonly port: number; readonly user: string; readonly password: string }

export type Row = readonly (string | null)[]

export class ReplicationConnection {
  readonly #client: pg.Client

  constructor({ host, port, user, password }: ServerAddress) {
    const config: pg.ClientConfig & { readonly replication: string } = {
      host, port, user, password, replication: 'true', connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold backup', keepAlive: true,
    }
    this.#client = new pg.Client(config)
    this.#client.on('error', () => {})
  }

  async open(): Promise<void> { await this.#client.connect() }

  /** The rows of all results of one command. */
  async rows(text: string): Promise<readonly Row[]> {
    const command = new Command(text)
    command.copied.resume()
    this.#client.query(command)
    return command.rows
  }

  /** What a command copies out: one chunk per message. Ends when the command has; an error of the server ends it with that. */
  copy(text: string): Readable {
    const command = new Command(text)
    this.#client.query(command)
    command.rows.then(() => command.copied.end(), (error: Error) => command.copied.destroy(error))
    return command.copied
  }

  async close(): Promise<void> { await this.#client.end().catch(() => {}) }

  /** Without a farewell: for a copy that is given up in its midst. */
  cut(): void { this.#client.connection.stream.destroy() }
}

const chunksWaitingMax = 64

/** A query as pg's client runs it. */
class Command implements pg.Submittable {
  readonly rows: Promise<readonly Row[]>
  readonly copied = new PassThrough({ objectMode: true, highWaterMark: chunksWaitingMax })
  readonly #text: string
  readonly #rows: Row[] = []
  #wire: pg.Connection | undefined
  #isPaused = false
  #error: Error | undefined
  #settle: { resolve(rows: readonly Row[]): void; reject(error: Error): void }

  constructor(text: string) {
    this.#text = text
    const { promise, resolve, reject } = Promise.withResolvers<readonly Row[]>()
    this.rows = promise
    this.#settle = { resolve, reject }
  }

  submit(wire: pg.Connection): void {
    this.#wire = wire
    wire.query(this.#text)
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    // The chunk is a view of a buffer that the next message may overwrite.
    if (this.copied.write(Buffer.from(chunk)) || this.#isPaused) return
    this.#isPaused = true
    this.#wire!.stream.pause()
    this.copied.once('drain', () => { this.#isPaused = false; this.#wire!.stream.resume() })
  }

  handleDataRow({ fields }: { readonly fields: Row }): void { this.#rows.push(fields.map(field => field === null ? null : String(field))) }
  handleRowDescription(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}

  handleReadyForQuery(): void {
    if (this.#error) this.#settle.reject(this.#error)
    else this.#settle.resolve(this.#rows)
  }

  /** Also called when the connection breaks, and then nothing follows. */
  handleError(error: Error): void {
    this.#error = error
    this.#settle.reject(error)
  }
}
