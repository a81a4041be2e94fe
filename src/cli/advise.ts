/** `tenfold advise`: looks at how the database of a deployment is used and says what to mend. */
import { createLogger } from '../base/log.ts'
import { Closers } from '../base/lifecycle.ts'
import { databaseOf } from '../boot/database.ts'
import { findTopology, loadApplication, loadTopology } from '../boot/load.ts'
import { readMigrations } from '../boot/migrations.ts'
import { advise as adviseOn } from '../insight/advice.ts'
import { gather } from '../insight/facts.ts'
import { textOf } from '../insight/finding.ts'
import type { Advice, Finding } from '../insight/finding.ts'
import type { Application } from '../model/app.ts'
import type { Inspection } from '../ports/inspection.ts'
import type { IntentCount } from '../runtime/statistics.ts'
import { appFileOf, appOption, dataFolderOf, portOf, print } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'

const adminMs = 5_000

export const advise: CliCommand = {
  name: 'advise',
  summary: 'say what the database needs',
  help: `Looks at the statements, plans, indexes and tables of a deployment and prints what is worth
mending: missing, unused and redundant indexes, slow statements, statements in a loop, tables
that need vacuum. Each finding names its intents, the evidence and the migration to add. It is
silent when all is well, and says so where too little was observed. Ends with 1 on findings.

  --app FILE        the application (app.ts)
  --topology NAME   whose database (1-monolith)
  --prove           build each missing index beside the traffic, measure, and drop it again
  --keep            with --prove: keep the indexes that Postgres takes

Environment: ADMIN_PORT (4000) of the running deployment, TENFOLD_DATA (.tenfold).`,
  options: { ...appOption, topology: { type: 'string', default: '1-monolith' }, prove: { type: 'boolean' }, keep: { type: 'boolean' } },
  async run(given) {
    // Here and not above: the other commands need no drivers.
    const { inspectionOf } = await import('../boot/registry.ts')
    const appFile = appFileOf(given)
    const app = await loadApplication(appFile)
    const topology = await loadTopology((await findTopology(appFile, String(given.values.topology))).file)
    const log = createLogger({ level: process.env.LOG_LEVEL ?? 'warn' })
    const closers = new Closers()
    try {
      const url = await databaseOf(topology, { dataFolder: dataFolderOf(), log }, closers, true)
      const inspection = inspectionOf(topology.ports, url, app.services.map(one => one.name))
      closers.add(() => inspection.close())
      await inspection.open()
      const facts = await gather(inspection, await countsOf(app), await migrationsOf(app))
      const advice = await proved(inspection, adviseOn(facts), given)
      print(given, advice, textOf(advice))
      return advice.findings.length === 0 ? 0 : 1
    } finally {
      await closers.close()
    }
  },
}

async function migrationsOf(app: Application): Promise<Record<string, number>> {
  return Object.fromEntries((await readMigrations(app)).map(({ service, migrations }) => [service, migrations.length]))
}

/** What the processes of the running deployment have counted; null when none of this application answers. */
async function countsOf(app: Application): Promise<IntentCount[] | null> {
  const url = `http://127.0.0.1:${portOf('ADMIN_PORT') ?? 4000}`
  const read = async <T>(page: string) => await (await fetch(url + page, { signal: AbortSignal.timeout(adminMs) })).json() as T
  try {
    const { application } = await read<{ application?: string }>('/status')
    return application === app.name ? await read<IntentCount[]>('/statistics') : null
  } catch { return null }
}

async function proved(inspection: Inspection, advice: Advice, { values }: Arguments): Promise<Advice> {
  if (!values.prove) return advice
  const findings: Finding[] = []
  // One after another: each is measured without the others, and the machine builds one index at a time.
  for (const finding of advice.findings) {
    const { index, statements } = finding
    if (!index || !statements) { findings.push(finding); continue }
    const proof = await inspection.prove(statements.service, statements.texts, index, values.keep ? index.name : null)
    findings.push({ ...finding, proof: proof && { ...proof, kept: proof.used && values.keep === true } })
  }
  return { ...advice, findings }
}
