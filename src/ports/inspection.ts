/**
 * The inspection port: what an engine itself knows about how it is used, for advice.
 *
 * Contract
 * - Nothing an application sees changes: statements are explained, never run, but for
 *   `prove`, which runs reading statements only, in a transaction that cannot write.
 * - Statements are those of the application's services, one entry per service and text,
 *   with the intent that their mark names; the runtime's own are left out.
 * - What cannot be told is null, never a guess.
 * - `prove` leaves no index behind unless it is told to keep it, also when it fails.
 */

export interface Observation {
  /** How long statements have been counted. */
  readonly statementsMs: number
  /** How long the use of tables and indexes has been counted. */
  readonly tablesMs: number
  /** True when there were more statements than the engine keeps: the rare ones are missing. */
  readonly incomplete: boolean
}

export interface StatementFacts {
  readonly service: string
  /** Normalised, without its mark. */
  readonly text: string
  /** Whose mark the engine has seen first; null without a mark. */
  readonly intent: string | null
  readonly calls: number
  readonly totalMs: number
  readonly maxMs: number
  readonly rowsPerCall: number
  /** Pages touched per call, cached or not. */
  readonly pagesPerCall: number
}

export interface IndexColumn { readonly column: string; readonly descending: boolean }

export interface IndexShape {
  readonly service: string
  readonly table: string
  readonly columns: readonly IndexColumn[]
}

export interface IndexFacts extends IndexShape {
  readonly name: string
  /** Unique indexes are rules, not only paths. */
  readonly unique: boolean
  /** A plain ordered index over whole columns and all rows; only such are compared with each other. */
  readonly plain: boolean
  readonly bytes: number
  readonly scans: number
}

export interface TableFacts {
  readonly service: string
  readonly table: string
  readonly rows: number
  readonly pages: number
  /** Without its indexes. */
  readonly bytes: number
  readonly deadRows: number
  /** Dead rows at which the engine itself would vacuum. */
  readonly vacuumAtRows: number
  readonly analyzed: boolean
  /** Transactions since its oldest row was frozen, as a share of those at which the engine stops. */
  readonly transactionAge: number
}

/** Where a statement reads a whole table, or a whole index because its condition is not on what the index begins with. */
export interface Scan {
  readonly service: string
  readonly table: string
  /** The index that is read whole; null for the table itself. */
  readonly index: string | null
  /** Compared for equality with a given value. */
  readonly equals: readonly string[]
  readonly ranges: readonly string[]
  /** The order of which only the first rows are taken. */
  readonly order: readonly IndexColumn[]
  /** Share of the rows that pass, as the engine estimates. */
  readonly passing: number
  /** The node of the plan, for people. */
  readonly node: string
}

export interface Proof {
  /** Of the statements given, the one that gained the most. */
  readonly text: string
  readonly beforeMs: number
  readonly afterMs: number
  readonly pagesBefore: number
  readonly pagesAfter: number
  /** True when the engine chose the index. */
  readonly used: boolean
}

export interface Inspection {
  open(): Promise<void>
  close(): Promise<void>
  observation(): Promise<Observation>
  statements(): Promise<readonly StatementFacts[]>
  tables(): Promise<readonly TableFacts[]>
  indexes(): Promise<readonly IndexFacts[]>
  /** The scans of a statement's plan; null when it cannot be explained. */
  scans(service: string, text: string): Promise<readonly Scan[] | null>
  /** The plan for any values, as the engine words it for people; null when it cannot be explained. */
  explain(service: string, text: string): Promise<string | null>
  /** True when the planner would take such an index; null when this engine cannot say without building it. */
  wouldUse(service: string, text: string, index: IndexShape): Promise<boolean | null>
  /** Builds the index beside running traffic, measures, and drops it, or keeps it under `keepAs`. Null when all statements write, or no values can be sampled for them. */
  prove(service: string, texts: readonly string[], index: IndexShape, keepAs: string | null): Promise<Proof | null>
}
