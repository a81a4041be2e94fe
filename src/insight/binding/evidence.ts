/**
 * What was seen of a deployment over a window of time, from which the resource that binds is
 * named. Plain data: it crosses processes and is kept with a recorded load run. Counts of
 * requests are means over the window: by Little's law a mean number of requests at some place
 * is their rate times the time that each spends there.
 */
import type { Doing } from '../../ports/measurements.ts'
import type { Place } from '../../base/place.ts'

export interface ProcessEvidence {
  /** `web-0`. */
  readonly process: string
  readonly answersRequests: boolean
  /** Share of the time in which the event loop was busy. */
  readonly loop: number
  /** Cores in use. */
  readonly cpu: number
  /** Share of the time in which the thread of the event loop could have run and no processor was free. */
  readonly cpuWait: number
  /** How much later than asked a timer ran, on average. */
  readonly loopDelayMs: number
}

export interface PoolEvidence {
  readonly service: string
  readonly pool: string
  /** Of all processes together. */
  readonly max: number
  /** Means over the window. */
  readonly used: number
  readonly waiting: number
}

export interface IntentEvidence {
  readonly intent: string
  readonly perSecond: number
  /** Requests at each place, on average. */
  readonly at: Readonly<Partial<Record<Place, number>>>
}

/** Connections to the database that do each of these things, on average. */
export type Doings = Readonly<Record<Doing, number>>

export interface ActivityEvidence {
  /** How often it was looked. */
  readonly samples: number
  readonly services: readonly { readonly service: string; readonly doing: Doings }[]
  readonly intents: readonly { readonly intent: string; readonly doing: Doings }[]
  /** Who holds locks that others wait for: an intent, or the name of a program; mean number. */
  readonly holders: readonly { readonly who: string; readonly isIntent: boolean; readonly doing: Doing; readonly mean: number }[]
}

export interface StatementEvidence {
  readonly service: string
  readonly text: string
  readonly intents: readonly string[]
  readonly perSecond: number
  readonly meanMs: number
}

/** What a ghost cache says of the answers of a query, had they been kept. */
export interface GhostEvidence {
  readonly intent: string
  readonly requests: number
  /** Different questions. */
  readonly keys: number
  readonly freshMs: number
  /** True where the query says itself how fresh its answers have to be. */
  readonly isDeclared: boolean
  readonly bytesPerAnswer: number
  /** Hits as a share of the requests, by the bytes that may be kept: at least and at most. */
  readonly sizes: readonly { readonly bytesMax: number; readonly hits: readonly [least: number, most: number] }[]
}

/** The other end of the line: what the load generator says of itself. */
export interface GeneratorEvidence {
  /** Requests that it waits for, on average. */
  readonly inFlight: number
  readonly meanMs: number
  /** Of its busiest process, on average. */
  readonly loop: number
  readonly lateShare: number
}

export interface Evidence {
  readonly at: string
  readonly seconds: number
  readonly application: string
  readonly topology: string
  readonly cores: number
  /** Of the machine: cores in use, by everybody. Null where nobody tells. */
  readonly machineCpu: number | null
  readonly requests: { readonly perSecond: number; readonly meanMs: number; readonly inFlight: number; readonly shedPerSecond: number }
  readonly processes: readonly ProcessEvidence[]
  readonly pools: readonly PoolEvidence[]
  /** What the pools read and write of one service may have together in one process; null where nobody tells. */
  readonly connectionsPerService: number | null
  readonly intents: readonly IntentEvidence[]
  /** Null where the engine does not tell. */
  readonly activity: ActivityEvidence | null
  /** Cores that the database uses, and would use besides if they were free. */
  readonly databaseCpu: number | null
  readonly databaseCpuWait: number | null
  readonly statements: readonly StatementEvidence[]
  readonly ghosts: readonly GhostEvidence[]
  readonly generator: GeneratorEvidence | null
}
