/**
 * `npm run docs`: writes the documents that follow from the code, docs/drivers.md,
 * docs/metrics.md, docs/runbooks and docs/stages.md. `test/docs.test.ts` fails when they are not what this would write.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Topology } from '../src/index.ts'
import { histogramBounds } from '../src/base/histogram.ts'
import { metricTable } from '../src/base/metric-table.ts'
import type { MetricEntry } from '../src/base/metric-table.ts'
import { alerts } from '../src/insight/alerts/alert-files.ts'
import { runbook, runbookFile } from '../src/insight/alerts/runbook.ts'
import * as conformance from '../src/conformance/index.ts'

const root = path.dirname(import.meta.dirname)
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const stem = (file: string) => path.basename(file).replace(/\.ts$/, '')

/** The first sentence of the comment that a file opens with. */
function opening(file: string): string {
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(read(file))?.[1] ?? ''
  const text = comment.split('\n').map(line => line.replace(/^\s*\*? ?/, '').trim()).join(' ').trim()
  return /^.*?\.(?= |$)/.exec(text)?.[0] ?? text
}

interface Stage { readonly name: string; readonly file: string; readonly topology: Topology }

async function stages(): Promise<Stage[]> {
  const files = globSync('examples/conduit/topologies/*.ts', { cwd: root }).sort()
  return Promise.all(files.map(async file => ({ name: stem(file), file, topology: (await import(path.join(root, file)) as { default: Topology }).default })))
}

const ports = globSync('src/ports/*.ts', { cwd: root }).map(stem).sort()

/** A driver is the file of its port in an engine's folder: memory/cache.ts, memory/serialising-transport.ts. */
function driversOf(port: string): { file: string; name: string }[] {
  return globSync('src/drivers/*/*.ts', { cwd: root }).sort().flatMap(file => {
    if (stem(file) === port) return [{ file, name: path.basename(path.dirname(file)) }]
    return stem(file).endsWith(`-${port}`) ? [{ file, name: stem(file).slice(0, -port.length - 1) }] : []
  })
}

function capabilityRow(port: string): string {
  const suites = Object.values(conformance).filter(one => typeof one === 'object' && one.port === port) as conformance.Suite<unknown>[]
  const checks = suites.flatMap(suite => Object.values(suite.checks))
  const needs = new Set(checks.flatMap(check => typeof check === 'object' && check.needs ? [check.needs] : []))
  return `| [\`${port}\`](../src/ports/${port}.ts) | ${opening(`src/ports/${port}.ts`).replace(/^The \w+ port: /, '').replace(/\.$/, '')} | ${checks.length || 'none'} | ${[...needs].sort().join(', ') || 'none'} |`
}

export async function driversText(): Promise<string> {
  const all = await stages()
  const rows = ports.flatMap(port => driversOf(port).map(({ file, name }) => {
    const used = all.filter(({ topology }) => (topology.ports as unknown as Record<string, { driver: string }>)[port]?.driver === name)
    return `| \`${port}\` | \`${name}\` | ${opening(file)} | ${used.map(one => one.name).join(', ') || 'tests only'} | [${path.basename(file)}](../${file}) |`
  }))
  return `# Ports and drivers

Written by \`npm run docs\` from \`src/ports\`, \`src/conformance\`, \`src/drivers\` and the topologies of Conduit.

A topology names one driver for each port. A driver keeps the whole contract of its port; what it may lack is an optional capability, and a call that needs one it does not declare is refused with \`NOT_SUPPORTED\`: choose a driver that declares it.

## Ports

| port | what it is | checks in its suite | optional capabilities |
|---|---|---|---|
${ports.map(capabilityRow).join('\n')}

## Drivers

| port | driver | what it is | topologies | file |
|---|---|---|---|---|
${rows.join('\n')}

## Write a driver

1. Read the contract at the top of the port's file, and its suite in \`src/conformance\`: that is all there is to keep.
2. One file, \`src/drivers/<engine>/<port>.ts\`, that exports \`open<Engine><Port>(options)\`. It sees \`src/base\` and \`src/ports\` only, and no other engine.
3. Its name and its options as one more case of \`Ports\` in \`src/topology/topology.ts\`, and a line in \`src/boot/registry.ts\`.
4. A test in \`test/conformance\` that runs the suite against the real engine, never a mock, and one that breaks the driver on purpose and sees the suite find it:

\`\`\`ts
for (const one of verify(queueSuite, myDriver)) test(one.name, { skip: one.skip }, () => one.run())
\`\`\`

5. An optional capability goes into the driver's \`supports\`; where it departs from the contract, into \`deviates\` with the reason. Both are checked in both directions.
6. What the driver cannot keep on a topology (more than one process, say) goes into \`checkTopology\` in \`src/topology/plan.ts\`, with the mend in its message.
7. \`npm run docs\`.

Outside this repository the suites are \`import { queueSuite, verify } from 'tenfold/conformance'\`.
`
}

/** The lines of both, each marked as in a patch: by the longest common subsequence. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const common = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  for (let i = before.length - 1; i >= 0; i--) for (let j = after.length - 1; j >= 0; j--) {
    common[i]![j] = before[i] === after[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!)
  }
  const lines: string[] = []
  let [i, j] = [0, 0]
  while (i < before.length || j < after.length) {
    if (i < before.length && before[i] === after[j]) { lines.push(`  ${before[i]}`); i++; j++ }
    else if (j >= after.length || (i < before.length && common[i + 1]![j]! >= common[i]![j + 1]!)) lines.push(`- ${before[i++]}`)
    else lines.push(`+ ${after[j++]}`)
  }
  return lines
}

/** The data of a topology's file: what stands between `export default` and `as const`. */
const dataOf = (file: string) => /export default ([\s\S]*?) as const/.exec(read(file))![1]!.split('\n')

function stageText({ name, file, topology }: Stage, before: Stage | undefined): string {
  const [least, most] = topology.users.map(number => number.toLocaleString('en'))
  const block = before
    ? `What changes in the file, and nothing else does, neither in the application nor in its data:\n\n\`\`\`diff\n${difference(dataOf(before.file), dataOf(file)).join('\n')}\n\`\`\``
    : `\`\`\`ts\n${dataOf(file).join('\n')}\n\`\`\``
  return `## ${name}

${topology.about}

- Users: ${least} to ${most}.
- Outgrown when: ${topology.outgrow.charAt(0).toLowerCase()}${topology.outgrow.slice(1)}
- Start: \`npm start -- --topology ${name}\` ([${path.basename(file)}](../${file}))

${block}
`
}

export async function stagesText(): Promise<string> {
  const all = await stages()
  return `# Stages

Written by \`npm run docs\` from the topologies of Conduit. Each runs the same application.

${all.map((stage, index) => stageText(stage, all[index - 1])).join('\n')}`
}

const counters: Readonly<Record<MetricEntry['of'], string>> = {
  intent: '## Intents\n\nCounted in each process that runs the intent, and labelled with it: `process`, for instance `web-0`.',
  process: '## Processes\n\nOf each process of the topology; what any program has also of the `supervisor`. Labelled with `process`.',
  supervisor: '## Supervisor',
  engine: '## Engines\n\nRead in one place, when somebody looks, within a time-out. Not labelled with `process`.',
}

function metricsOf(of: MetricEntry['of']): string {
  const rows = (Object.entries(metricTable) as [string, MetricEntry][]).filter(([, entry]) => entry.of === of)
    .map(([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${labels.map(label => `\`${label}\``).join(', ')} | ${help} |`)
  return `${counters[of]}\n\n| name | type | labels | what it is |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

export async function metricsText(): Promise<string> {
  return `# Metrics

Written by \`npm run docs\` from [src/base/metric-table.ts](../src/base/metric-table.ts).

\`GET /metrics\` at the admin port (4000 unless ADMIN_PORT says otherwise) answers for all processes and engines of the deployment, as text of Prometheus or, for who accepts it, of OpenMetrics. \`GET /metrics.json\` says the same to programs: families with \`name\`, \`type\`, \`unit\`, \`help\` and \`samples\`; a sample has \`labels\` and a \`value\`, one of a histogram \`count\`, \`sum\`, \`max\`, \`quantiles\` (p50, p90, p99, p99.9, in seconds, null when nothing was recorded), \`bounded\` and \`native\`: pairs of bucket and count, of the bounds below and of the exponential buckets of schema 4, where bucket i ends at 2^(i/16) seconds.

Everything counts from the start of its process. Histograms have the bounds ${histogramBounds.filter(bound => bound >= 1 && bound < 10).join(', ')} seconds and those times ten, a hundred and so on, from ${histogramBounds[0]} to ${histogramBounds.at(-1)}. What it costs (bench/metrics.ts, 2026-11-27): 0.36 µs of the 65 to 70 of a read, and 42 ms of processor for a scrape every 15 s, about 1 % together; whole processes, measured and not, differ by less than two of the same code do. \`TENFOLD_METRICS=off\` measures nothing; it is there for the bench.

${(Object.keys(counters) as MetricEntry['of'][]).map(metricsOf).join('\n')}`
}

/** Of Conduit, whose scrape job is `conduit`; 'tenfold alerts' writes those of any application. */
const runbooks = Object.fromEntries(alerts.map(alert => [`docs/runbooks/${runbookFile(alert)}`, async () => runbook(alert, 'conduit')]))

export const documents: Readonly<Record<string, () => Promise<string>>> = { 'docs/drivers.md': driversText, 'docs/metrics.md': metricsText, 'docs/stages.md': stagesText, ...runbooks }

if (import.meta.main) {
  for (const [file, text] of Object.entries(documents)) writeFileSync(path.join(root, file), await text())
}
