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
}
