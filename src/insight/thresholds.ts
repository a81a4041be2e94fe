/** From where on something is worth a finding. Below, a mend would not be felt, or what was seen may be chance. */
export const thresholds = {
  /** Calls of all statements together before any of them is judged. */
  observedCalls: 500,
  /** Calls of one statement before it is judged. */
  statementCalls: 50,
  /** A statement is slow from this mean on, if it also takes this share of all time. */
  slowMeanMs: 50,
  slowShare: 0.1,
  /** A scan counts in statements of this share of all time, on tables of this many pages of 8 KiB: smaller ones are read whole as fast as through an index. */
  scanShare: 0.01,
  scanPages: 64,
  /** A condition is worth an index when at most this share of the rows passes. */
  passingMax: 0.1,
  /** The statement must have touched this share of what is read whole per call: else the plan that really ran was another. */
  scannedPagesMin: 0.5,
  /** An index is called unused after this time without a scan; smaller ones cost nothing. */
  unusedMs: 7 * 86_400_000,
  unusedBytes: 1_048_576,
  /** The same statement this often in one call, in the worst call and on average, is a loop. */
  repeatedMax: 8,
  repeatedMean: 4,
  repeatedCalls: 20,
  /** Dead rows, if they are also this many times what the engine vacuums at. */
  deadRows: 50_000,
  deadTimes: 2,
  /** A table of so many pages that has not been analysed after this time. */
  unanalyzedPages: 500,
  unanalyzedMs: 3_600_000,
  /** Of the transactions at which Postgres stops; its own vacuum freezes at a tenth. */
  transactionAge: 0.5,
} as const
