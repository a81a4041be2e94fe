/** What advice consists of: findings, each with its evidence and its mend, and what could not be judged. */
import type { IndexShape } from '../ports/inspection.ts'
import type { Proof } from '../ports/inspection.ts'

export type FindingKind = 'missing-index' | 'slow-statement' | 'repeated-statement' | 'unused-index' | 'redundant-index' | 'vacuum'

/** A file to add to a service's migrations. */
export interface SuggestedMigration {
  readonly service: string
  readonly file: string
  readonly sql: string
}

export interface Finding {
  readonly kind: FindingKind
  /** Whose statements it is about; for a table, all that name it. */
  readonly intents: readonly string[]
  readonly summary: string
  readonly evidence: readonly string[]
  readonly mend: string
  readonly index?: IndexShape & { readonly name: string }
  /** The statements it is about, of one service. */
  readonly statements?: { readonly service: string; readonly texts: readonly string[] }
  readonly migration?: SuggestedMigration
  readonly proof?: (Proof & { readonly kept: boolean }) | null
}

export interface Advice {
  readonly findings: readonly Finding[]
  /** What was not looked at, and why. */
  readonly notes: readonly string[]
}

const indent = (text: string, by: string) => text.split('\n').map(line => by + line).join('\n')

export function textOf({ findings, notes }: Advice): string {
  const parts = findings.map(finding => {
    const { migration, proof } = finding
    return [
      `${finding.kind}: ${finding.summary}`,
      ...(finding.intents.length > 0 ? [`  intents   ${finding.intents.join(', ')}`] : []),
      ...finding.evidence.map((line, position) => `  ${position === 0 ? 'evidence ' : '         '} ${line}`),
      ...(proof === undefined ? [] : [`  proof     ${proofOf(proof)}`]),
      `  mend      ${finding.mend}`,
      ...(migration ? [`  migration ${migration.service}/migrations/${migration.file}`, indent(migration.sql, '    ')] : []),
    ].join('\n')
  })
  return [...(parts.length > 0 ? parts : ['nothing to mend']), ...notes.map(note => `note: ${note}`)].join('\n\n')
}

function proofOf(proof: NonNullable<Finding['proof']> | null): string {
  if (!proof) return 'not measured: the statement writes, or no values could be sampled for it'
  const { beforeMs, afterMs, pagesBefore, pagesAfter, used, kept } = proof
  if (!used) return 'the index was built and Postgres did not take it: leave it out'
  return `${beforeMs.toFixed(2)} ms and ${pagesBefore} pages before, ${afterMs.toFixed(2)} ms and ${pagesAfter} pages with the index${kept ? ', which is kept' : ', which is dropped again'}`
}
