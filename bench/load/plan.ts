/** What a load run is asked and what it answers; crosses the process boundary as JSON. */
export interface LoadRequest {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** `{{sequence}}` becomes a number that no other request of the run has. */
  readonly body?: string
}

export interface LoadPlan {
  readonly url: string
  readonly requests: readonly LoadRequest[]
  readonly connections: number
  readonly warmupMs: number
  readonly durationMs: number
  /** Given: open loop, requests arrive at this rate whatever the answers do. Absent: closed loop. */
  readonly ratePerSecond?: number
  readonly arrivals?: 'constant' | 'poisson'
  /** An answer later than this does not count as good; one that never comes is given up. */
  readonly timeoutMs?: number
  /** Length of a slice of the time line. */
  readonly sliceMs?: number
}

export interface LoadSlice {
  readonly atMs: number
  readonly good: number
  readonly answers: number
}

export interface LoadReport {
  readonly seconds: number
  readonly answers: number
  readonly requestsPerSecond: number
  /** Answers with 2xx in time, per second. */
  readonly goodPerSecond: number
  readonly byStatus: Readonly<Record<string, number>>
  /** Broken connections and requests given up after the timeout. */
  readonly failures: number
  /** Of the good answers, from the moment the request was meant to be sent. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly slices: readonly LoadSlice[]
}
