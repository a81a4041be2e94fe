/** What a load run is asked and what it answers; crosses the process boundary as JSON. */
export interface LoadRequest {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** `{{sequence}}` becomes a number that no other request of the run has. */
  readonly body?: string
}

/** From a moment of the run on, its warm-up included, requests arrive at this rate. */
export interface RateStep {
  readonly atMs: number
  readonly ratePerSecond: number
}

export interface LoadPlan {
  readonly url: string
  readonly requests: readonly LoadRequest[]
  readonly connections: number
  readonly warmupMs: number
  readonly durationMs: number
  /** Given: open loop, requests arrive at this rate whatever the answers do. Absent: closed loop. */
  readonly ratePerSecond?: number | readonly RateStep[]
  readonly arrivals?: 'constant' | 'poisson'
  /** An answer later than this does not count as good; one that never comes is given up. */
  readonly timeoutMs?: number
  /** Open loop: how often in all a request is sent that was not answered in time, at once again; another of the mix stands for it. Who is refused gives up. */
  readonly attempts?: number
  /** Length of a slice of the time line. */
  readonly sliceMs?: number
}

/** What was answered, or given up, from atMs on. */
export interface LoadSlice {
  readonly atMs: number
  readonly good: number
  readonly answers: number
  readonly failures: number
  /** Of the good answers. */
  readonly p50Ms: number
  readonly p99Ms: number
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
  /** Numbers of the requests that had one (`{{sequence}}`), by what became of them: 2xx, 503; others are in neither. */
  readonly acknowledged: readonly number[]
  readonly refused: readonly number[]
  /** How busy the generator was, 0 to 1: near 1 it measured itself. */
  readonly generatorLoad: number
}
