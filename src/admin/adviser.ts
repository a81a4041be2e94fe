/** The process that `advice.ts` asks: looks at the database with the application at hand, answers, and ends. */
import { Closers } from '../base/lifecycle.ts'
import { isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { loadApplication, loadTopology } from '../boot/load.ts'
import { readMigrations } from '../boot/migrations.ts'
import { inspectionOf } from '../boot/registry.ts'
import { advise } from '../insight/advice.ts'
import { bindingOf } from '../insight/binding/binding.ts'
import type { Binding } from '../insight/binding/binding.ts'
import type { Evidence } from '../insight/binding/evidence.ts'
import type { Configured } from '../insight/binding/configured.ts'
import { gather } from '../insight/facts.ts'
import type { Advice } from '../insight/finding.ts'
import type { IntentCount } from '../runtime/statistics.ts'

export interface AdviceQuestion {
  readonly appFile: string
  readonly topologyFile: string
  readonly databaseUrl: string
  readonly counts: readonly IntentCount[]
  readonly evidence: Evidence
  readonly configured: Configured
}

export type AdviceAnswer = Advice & Binding | { readonly code: ErrorCode; readonly message: string }

async function answer({ appFile, topologyFile, databaseUrl, counts, evidence, configured }: AdviceQuestion): Promise<AdviceAnswer> {
  const closers = new Closers()
  try {
    const app = await loadApplication(appFile)
    const { ports } = await loadTopology(topologyFile)
    const inspection = inspectionOf(ports, databaseUrl, app.services.map(one => one.name))
    closers.add(() => inspection.close())
    await inspection.open()
    const migrations = Object.fromEntries((await readMigrations(app)).map(one => [one.service, one.migrations.length]))
    const advice = advise(await gather(inspection, counts, migrations))
    return { ...advice, ...bindingOf(evidence, advice.findings, configured) }
  } catch (error) {
    if (!isTenfoldError(error)) throw error
    return { code: error.code, message: error.message }
  } finally {
    await closers.close()
  }
}

process.once('message', question => {
  void answer(question as AdviceQuestion).then(found => process.send!(found, () => process.exit(0)))
})
process.once('disconnect', () => process.exit(0))
