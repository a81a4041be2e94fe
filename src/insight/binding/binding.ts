/** From evidence to what `tenfold advise` and the console tell of the resource that binds. */
import type { LoadReport } from '../../load/report.ts'
import type { Finding } from '../finding.ts'
import { diagnose } from './diagnosis.ts'
import type { Diagnosis } from './diagnosis.ts'
import type { Evidence } from './evidence.ts'
import type { Interval } from './gain.ts'
import { propose } from './proposal.ts'
import type { Configured } from './configured.ts'
import type { Proposal } from './proposal.ts'

export interface Binding {
  readonly diagnosis: Diagnosis
  readonly proposal: Proposal
}

export function bindingOf(evidence: Evidence, findings: readonly Finding[], configured: Configured): Binding {
  const diagnosis = diagnose(evidence)
  return { diagnosis, proposal: propose(evidence, diagnosis, findings, configured) }
}

/** Evidence that was watched during a load run, with what the generator says of itself. */
export function withGenerator(evidence: Evidence, { timeline, total, generator }: LoadReport): Evidence {
  const measured = timeline.filter(one => one.phase === 'measuring')
  const mean = (of: (one: LoadReport['timeline'][number]) => number) => measured.reduce((sum, one) => sum + of(one), 0) / Math.max(1, measured.length)
  return { ...evidence, generator: { inFlight: mean(one => one.inFlight), meanMs: total.meanMs, loop: mean(one => one.utilisation), lateShare: generator.lateShare } }
}

export const gainText = ([least, most]: Interval): string => `${factor(least)} to ${factor(most)} times as quick`

const factor = (value: number): string => value < 10 ? value.toFixed(1) : value.toFixed(0)

export function bindingText({ diagnosis, proposal }: Binding): string {
  const lines = (name: string, all: readonly string[]) => all.map((line, index) => `  ${(index === 0 ? name : '').padEnd(9)} ${line}`)
  return [
    `binds: ${diagnosis.summary}`,
    ...lines('evidence', diagnosis.evidence),
    ...lines('not', diagnosis.runnersUp.map(one => `${one.resource}${one.at === '' ? '' : ` ${one.at}`}, ${one.msPerRequest.toFixed(1)} ms: ${one.why}`)),
    ...lines('step', [proposal.text, ...proposal.why]),
    ...proposal.command === null ? [] : lines('command', proposal.command.split('\n')),
    ...proposal.kind === 'nothing' ? [] : lines('gain', [`requests ${gainText(proposal.gain)}, with as many under way`]),
  ].join('\n')
}
