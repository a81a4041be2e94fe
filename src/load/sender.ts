/** What carries the requests of a generator: real connections, or a simulated server in a test. */

export interface OutgoingRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export interface IncomingAnswer {
  readonly status: number
  /** `name: value` lines, as they came. */
  readonly headLines: readonly string[]
  readonly body: Buffer
}

export interface Sender {
  /** Requests without an answer so far. */
  readonly inFlight: number
  /** Requests that could not be sent at once, for all connections were in use. */
  readonly waited: number
  send(request: OutgoingRequest, deadlineMs: number): Promise<IncomingAnswer | 'timeout' | 'broken'>
  close(): void
}
