/** What the page reads of answers whose own types belong to Node; test/console/shapes.test-d.ts compares them. */

export interface Plan {
  readonly processes: readonly { readonly name: string; readonly does: string; readonly replicas: number }[]
  readonly listener: { readonly port: number }
  readonly routes: readonly unknown[]
}

export interface Topology {
  readonly about: string
  readonly ports: {
    readonly cdn: { readonly driver: string }
    readonly ingress: { readonly driver: string }
    readonly database: { readonly driver: string; readonly embedded?: boolean }
    readonly bus: { readonly driver: string }
    readonly queue: { readonly driver: string }
  }
}

/** `scaling` is absent where nothing is scaled. */
export interface Status {
  readonly scaling?: readonly { readonly at: string; readonly process: string; readonly from: number; readonly to: number; readonly reason: string; readonly load: number; readonly forecast: number }[]
}

export interface IntentCount {
  readonly intent: string
  readonly kind: string
  readonly texts: readonly { readonly text: string; readonly runs: number; readonly perCallMax: number }[]
}

export interface TraceSummary {
  readonly traceId: string
  readonly startMs: number
  readonly durationMs: number
  readonly failed: boolean
  readonly status: number | null
  readonly code: string | null
  readonly process: string
  readonly spans: number
}

export interface ProcessSpan {
  readonly spanId: string
  readonly parentSpanId: string | null
  readonly name: string
  readonly kind: string
  readonly startMs: number
  readonly durationMs: number
  readonly status: 'ok' | 'error'
  readonly code: string | null
  readonly message: string | null
  readonly attributes: Readonly<Record<string, string | number | boolean | readonly string[]>>
  readonly process: string
}

export interface TraceDetail { readonly spans: readonly ProcessSpan[]; readonly linked: readonly ProcessSpan[] }

export interface LogLine {
  readonly time: number
  readonly level: number
  readonly process?: string
  readonly intent?: string
  readonly msg?: string
  readonly err?: { readonly message?: string }
}

export interface JourneyFacts { readonly name: string; readonly weight: number; readonly thinkMs: number }

export interface LoadSecond {
  readonly second: number
  readonly phase: string
  readonly offered: number
  readonly good: number
  readonly refused: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly inFlight: number
  readonly users: number
  readonly generators: number
  readonly lateShare: number
  readonly utilisation: number
}

export interface LoadStep {
  readonly step: string
  readonly answers: number
  readonly refused: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface LoadRun {
  readonly settings: { readonly durationMs: number }
  readonly state: 'running' | 'stopping' | 'done' | 'failed'
  readonly progress: readonly LoadSecond[]
  readonly report: {
    readonly load: string
    readonly seconds: number
    readonly isAborted: boolean
    readonly goodPerSecond: number
    readonly journeys: { readonly finished: number; readonly gaveUp: number }
    readonly steps: readonly LoadStep[]
    readonly generator: { readonly isBound: boolean; readonly why: string | null }
  } | null
  readonly error: string | null
}

export interface Binding {
  readonly diagnosis: {
    readonly verdict: string
    readonly summary: string
    readonly evidence: readonly string[]
    readonly runnersUp: readonly { readonly resource: string; readonly at: string; readonly msPerRequest: number; readonly why: string }[]
  }
  readonly proposal: { readonly kind: string; readonly text: string; readonly why: readonly string[]; readonly command: string | null; readonly gain: readonly [least: number, most: number] }
}
