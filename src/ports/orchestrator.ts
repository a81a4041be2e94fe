/**
 * The orchestrator port: makes the processes that run be the processes that are wanted.
 *
 * Contract
 * - `apply` is idempotent: it starts what is missing, stops what is no longer wanted, leaves
 *   the rest alone, and resolves when every wanted process is ready.
 * - A process that ends unasked is started again, after a backoff that grows while it
 *   keeps ending within restartWindowMs of its start.
 * - `ask` puts a question to every ready process and resolves with the answers that came in
 *   time; a process that ends or stays silent is left out.
 * - `stop` ends everything, gracefully first, and resolves when nothing runs.
 */

export interface ProcessSpec {
  readonly name: string
  readonly replicas: number
  /** Program and arguments; the first is a file for Node. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Hand down the listening socket of this address, when given. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
  /** True: it listens by itself, on a port that it tells, and the balancer gives it requests. */
  readonly isBalanced?: boolean | undefined
  /** The most cores that each replica may use, with all it starts. Refused with NOT_SUPPORTED where that cannot be kept. */
  readonly cpu?: number | undefined
}

export interface ProcessState {
  readonly name: string
  readonly replica: number
  readonly pid: number | null
  readonly state: 'starting' | 'ready' | 'draining' | 'backing-off' | 'stopped'
  readonly restarts: number
  readonly startedAtMs: number
}

export interface ProcessAnswer {
  readonly name: string
  readonly replica: number
  readonly answer: unknown
}

/** `flush-cache`: forget every kept answer, answered when that is done. `ghost`: begin to look at what keeping answers would save, or tell it. The others: what has been counted, measured (the metrics that the payload names, or all), or written down. */
export type Question = 'statistics' | 'metrics' | 'traces' | 'ghost' | 'flush-cache'

export interface Orchestrator {
  apply(processes: readonly ProcessSpec[]): Promise<void>
  observe(): readonly ProcessState[]
  /** The payload is plain data, for the process that answers. */
  ask(question: Question, payload?: unknown): Promise<readonly ProcessAnswer[]>
  stop(graceMs: number): Promise<void>
}
