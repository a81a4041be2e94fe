/** Inspection drivers that are wrong on purpose: the suite must notice. */
import type { Inspection, StatementFacts } from '../../../src/ports/inspection.ts'

const over = (inspection: Inspection, changes: Partial<Inspection>): Inspection => ({
  open: () => inspection.open(), close: () => inspection.close(), observation: () => inspection.observation(), statements: () => inspection.statements(),
  tables: () => inspection.tables(), indexes: () => inspection.indexes(), explain: (service, text) => inspection.explain(service, text), scans: (service, text) => inspection.scans(service, text),
  wouldUse: (service, text, index) => inspection.wouldUse(service, text, index),
  prove: (service, texts, index, keepAs) => inspection.prove(service, texts, index, keepAs), ...changes,
})

/** Leaves the index it built. */
export const forgetsToDrop = (inspection: Inspection): Inspection => over(inspection, {
  prove: (service, texts, index, keepAs) => inspection.prove(service, texts, index, keepAs ?? 'left_behind'),
})

/** Takes every plan for a good one. */
export const seesNoScan = (inspection: Inspection): Inspection => over(inspection, { scans: async () => [] })

/** Adds the runtime's statements to those of the services. */
export const countsTheRuntime = (inspection: Inspection): Inspection => over(inspection, {
  statements: async () => [...await inspection.statements(), { service: 'shop', text: 'SELECT 1 FROM item LIMIT 1', intent: 'tenfold.outbox', calls: 3, totalMs: 1, maxMs: 1, rowsPerCall: 1, pagesPerCall: 1 } satisfies StatementFacts],
})

/** Declines every index, as hypopg may where it is installed. */
export const declining = (inspection: Inspection): Inspection => over(inspection, { wouldUse: async () => false })
