/** `tenfold advise`: names the resource that binds, looks at how the database of a deployment is used, and says what to mend. */
import { createLogger } from '../base/log.ts'
import { Closers } from '../base/lifecycle.ts'
import { databaseOf } from '../boot/database.ts'
import { findTopology, loadApplication, loadTopology } from '../boot/load.ts'
import { readMigrations } from '../boot/migrations.ts'
import { nextTopologyOf } from '../boot/topology-folder.ts'
import { advise as adviseOn } from '../insight/advice.ts'
import { bindingOf, bindingText } from '../insight/binding/binding.ts'
import type { Binding } from '../insight/binding/binding.ts'
import { isSteady } from '../insight/binding/diagnosis.ts'
import type { Evidence } from '../insight/binding/evidence.ts'
import { gather } from '../insight/facts.ts'
import type { Facts } from '../insight/facts.ts'
import { ledgerText, readLedger, updated, writeLedger } from '../insight/ledger.ts'
import { parseDuration } from '../load/profile.ts'
import { textOf } from '../insight/finding.ts'
import type { Advice, Finding } from '../insight/finding.ts'
import type { Application } from '../model/app.ts'
import type { Inspection } from '../ports/inspection.ts'
import type { IntentCount } from '../runtime/statistics.ts'
import { appFileOf, appOption, dataFolderOf, print } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'
import { adminUrlOf, configuredHere, recordedEvidence, watchedEvidence } from './evidence.ts'

const adminMs = 5_000

const watchMsStandard = 5_000
/** A look that does not add up, or saw too little, is taken again for twice as long. */
const looksMax = 3

export const advise: CliCommand = {
  name: 'advise',
  summary: 'name the resource that binds, and say what the database needs',
  help: `Watches the running deployment and names the one resource that binds: where requests spend
their time, checked by Little's law; with one step that relieves it, what it would bring, and how
to take it. Where it does not add up it says 'unexplained'. docs/advisor.md
Then looks at the statements, plans, indexes and tables and prints what is worth
mending: missing, unused and redundant indexes, slow statements, statements in a loop, tables
that need vacuum. Each finding names its intents, the evidence and the migration to add. It is
silent when all is well, and says so where too little was observed. Ends with 1 on findings.

  --app FILE        the application (app.ts)
  --topology NAME   whose database (1-monolith)
  --for TIME        how long to watch (5s)
  --load FILE       instead: what 'tenfold load --json' has recorded
  --ledger          the steps that were proposed: predicted against measured; looks at nothing
  --prove           build each missing index beside the traffic, measure, and drop it again
  --keep            with --prove: keep the indexes that Postgres takes

Environment: ADMIN_PORT (4000) of the running deployment, TENFOLD_DATA (.tenfold).`,
  options: {
    ...appOption, topology: { type: 'string', default: '1-monolith' }, for: { type: 'string' }, load: { type: 'string' }, ledger: { type: 'boolean' }, prove: { type: 'boolean' }, keep: { type: 'boolean' },
  },
  async run(given) {
    if (given.values.ledger) return showLedger(given)
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
      const evidence = await evidenceFor(app, given)
      const facts = await gather(inspection, await countsOf(app), await migrationsOf(app))
      const advice = await proved(inspection, adviseOn(facts), given)
      const binding = evidence && await bound(evidence, advice, facts, appFile)
      print(given, { ...advice, evidence, ...binding }, [...binding ? [bindingText(binding)] : [], textOf(advice)].join('\n\n'))
      return advice.findings.length === 0 ? 0 : 1
    } finally {
      await closers.close()
    }
  },
}

async function showLedger(given: Arguments): Promise<number> {
  const entries = await readLedger(dataFolderOf())
  print(given, entries, ledgerText(entries))
  return 0
}

/** Null when no deployment of this application answers. */
async function evidenceFor(app: Application, { values }: Arguments): Promise<Evidence | null> {
  if (typeof values.load === 'string') return recordedEvidence(values.load)
  const watchMs = typeof values.for === 'string' ? parseDuration(values.for, '--for') : watchMsStandard
  for (let look = 1; ; look++) {
    const evidence = await watchedEvidence({ application: app.name }, watchMs * 2 ** (look - 1))
    if (!evidence || look === looksMax || isSteady(evidence)) return evidence
  }
}

/** Names what binds, and notes it in the ledger where this is about the deployment that runs now. */
async function bound(evidence: Evidence, advice: Advice, facts: Facts, appFile: string): Promise<Binding> {
  const configured = await configuredHere(async name => nextTopologyOf((await findTopology(appFile, name)).file))
  const known = configured ?? { topology: evidence.topology, hasCache: false, nextTopology: null, processes: evidence.processes.filter(one => one.answersRequests).length }
  const binding = bindingOf(evidence, advice.findings, known)
  if (configured && configured.topology === evidence.topology) {
    const folder = dataFolderOf()
    await writeLedger(folder, updated(await readLedger(folder), { evidence, configured, indexes: facts.indexes }, binding))
  }
  return binding
}

async function migrationsOf(app: Application): Promise<Record<string, number>> {
  return Object.fromEntries((await readMigrations(app)).map(({ service, migrations }) => [service, migrations.length]))
}

/** What the processes of the running deployment have counted; null when none of this application answers. */
async function countsOf(app: Application): Promise<IntentCount[] | null> {
  const read = async <T>(page: string) => await (await fetch(adminUrlOf() + page, { signal: AbortSignal.timeout(adminMs) })).json() as T
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
