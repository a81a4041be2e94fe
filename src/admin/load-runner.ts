/** The process that `load.ts` asks: it imports the journeys, lists them or runs them, tells each second, and ends. */
import { fault, isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { findJourneyFiles, loadJourneys } from '../load/journey-files.ts'
import type { LoadPlan } from '../load/plan.ts'
import type { LoadProgress, LoadReport } from '../load/report.ts'
import { runLoad } from '../load/run.ts'

export interface JourneyFacts { readonly name: string; readonly weight: number; readonly thinkMs: number }

export type LoadQuestion = { readonly kind: 'journeys' } | { readonly kind: 'run'; readonly plan: Omit<LoadPlan, 'files'> } | { readonly kind: 'end' }
export type LoadAnswer =
  | { readonly kind: 'journeys'; readonly journeys: readonly JourneyFacts[] }
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  | { readonly kind: 'report'; readonly report: LoadReport }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string }

const ending = new AbortController()

async function answer(question: LoadQuestion, folder: string): Promise<LoadAnswer> {
  const files = await findJourneyFiles(folder)
  if (question.kind !== 'run') return { kind: 'journeys', journeys: (await loadJourneys(files)).map(({ name, weight, thinkMs }) => ({ name, weight, thinkMs })) }
  const onProgress = (progress: LoadProgress) => { process.send!({ kind: 'progress', progress } satisfies LoadAnswer) }
  return { kind: 'report', report: await runLoad({ ...question.plan, files }, { onProgress, signal: ending.signal }) }
}

process.on('message', (question: LoadQuestion) => {
  if (question.kind === 'end') return ending.abort(fault('USAGE', 'stopped before the load began'))
  void answer(question, process.argv[2]!).catch((error: unknown): LoadAnswer => {
    if (!isTenfoldError(error)) throw error
    return { kind: 'refused', code: error.code, message: error.message }
  }).then(found => process.send!(found, () => process.exit(0)))
})
process.on('disconnect', () => process.exit(0))
