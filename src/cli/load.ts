/** `tenfold load`: makes the users that an application's journeys describe, and says what became of them. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fault } from '../base/errors.ts'
import { findJourneyFiles } from '../load/journey-files.ts'
import { readLedger, verifyLedger } from '../load/ledger.ts'
import type { LoadPlan } from '../load/plan.ts'
import { constantProfile, parseDuration, parseProfile } from '../load/profile.ts'
import { reportPage } from '../load/report-page.ts'
import { progressText, reportText } from '../load/report-text.ts'
import { runLoad } from '../load/run.ts'
import { readTrace } from '../load/trace.ts'
import type { Evidence } from '../insight/binding/evidence.ts'
import { appFileOf, appOption, portOf, print } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'
import { watchedEvidence } from './evidence.ts'
import type { RecordedRun } from './evidence.ts'

const text = { type: 'string' } as const
const forMsStandard = 30_000
const rateStandard = 10
const lostShownMax = 20

export const load: CliCommand = {
  name: 'load',
  summary: 'push the application with users, and measure',
  help: `Makes the users that the journeys in load/ beside the application describe, sends their requests
when they are due whatever the server does, and measures from that moment. One line a second at
a terminal, a table at the end. Says so when the generator itself was the limit. docs/load.md

  --app FILE        the application (app.ts), whose folder load/ has the journeys
  --journeys PATH   another folder or file of journeys
  --mix LIST        weights to use instead, like reader=9,writer=1; the others are left out
  --url URL         where it runs (http://127.0.0.1 at PORT)

  --rate N          journeys that begin per second (10); A..B/60s from A to B in that time
  --ramp A..B/60s   the same as --rate A..B/60s
  --users N         instead: so many users, one journey after another; A..B/60s as above
  --trace FILE      instead: the rate of a recorded trace; --speed N times as fast, begun at
  --speed N         --from TIME in it, its highest rate made --peak N journeys per second
  --from TIME
  --peak N
  --for TIME        how long (30s, or the trace)
  --warmup TIME     before it, not counted
  --arrivals KIND   poisson (standard) or constant
  --think FACTOR    users think so many times as long (1)
  --timeout TIME    when a user gives up waiting (10s)
  --generators N    processes that send; without it one, and more while they are the limit
  --connections N   connections of each (1000)
  --late TIME       a request sent later than this after it was due is late (20ms)
  --seed N          the same draws again

  --report FILE     an HTML page with plots
  --ledger FILE     append each acknowledged write that its step says how to find
  --verify FILE     send nothing: look for every write of that ledger; ends with 1 if one is lost

With --json it watches the deployment as well, for 'tenfold advise --load'.

Environment: PORT (3000) and ADMIN_PORT (4000) of the deployment.`,
  options: {
    ...appOption, journeys: text, mix: text, url: text, rate: text, ramp: text, users: text, trace: text, speed: text, from: text, peak: text, for: text, warmup: text, arrivals: text,
    think: text, timeout: text, generators: text, connections: text, late: text, seed: text, report: text, ledger: text, verify: text,
  },
  async run(given) {
    return typeof given.values.verify === 'string' ? verify(given, given.values.verify) : push(given)
  },
}

async function push(given: Arguments): Promise<number> {
  const plan = await planOf(given)
  const file = textOf(given, 'report')
  // Before the run: nobody wants to hear of a wrong folder after it.
  if (file !== undefined) await save(file, '')
  const ending = new AbortController()
  const stop = () => ending.abort(fault('USAGE', 'interrupted before the load began'))
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    let evidence: Promise<Evidence | null> | undefined
    const watching = new AbortController()
    const report = await runLoad(plan, {
      signal: ending.signal,
      // For 'tenfold advise --load'; only then, since to watch costs a little.
      ...given.values.json ? { onMeasure: () => { evidence = watchedEvidence({ url: plan.url }, plan.durationMs, watching.signal) } } : {},
      ...process.stderr.isTTY ? { onProgress: progress => { process.stderr.write(`${progressText(progress)}\n`) } } : {},
    })
    if (file !== undefined) await save(file, reportPage(report))
    if (report.isAborted) watching.abort()
    print(given, { ...report, evidence: await evidence ?? null } satisfies RecordedRun, `${reportText(report)}${file === undefined ? '' : `\nreport in ${file}`}`)
    return 0
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

async function save(file: string, page: string): Promise<void> {
  await writeFile(file, page).catch((error: NodeJS.ErrnoException) => { throw fault('USAGE', `${file} cannot be written (${error.code}); name a file in a folder that is there`) })
}

async function verify(given: Arguments, file: string): Promise<number> {
  const { writes, lost } = await verifyLedger(urlOf(given), await readLedger(file))
  const lines = lost.slice(0, lostShownMax).map(({ entry, why }) => `- ${entry.at} ${entry.step} at ${entry.expect.path}: ${why}`)
  if (lost.length > lostShownMax) lines.push(`and ${lost.length - lostShownMax} more; --json lists them all`)
  print(given, { writes, lost }, lost.length === 0 ? `all ${writes} acknowledged writes are there` : `${lost.length} of ${writes} acknowledged writes are lost\n${lines.join('\n')}`)
  return lost.length === 0 ? 0 : 1
}

async function planOf(given: Arguments): Promise<LoadPlan> {
  const offered = await offeredOf(given)
  const arrivals = arrivalsOf(textOf(given, 'arrivals'))
  const place = textOf(given, 'journeys')
  const ledger = textOf(given, 'ledger')
  return {
    url: urlOf(given), files: await findJourneyFiles(place ?? path.join(path.dirname(appFileOf(given)), 'load')), ...offered,
    mix: mixOf(textOf(given, 'mix')), arrivals, warmupMs: timeOf(given, 'warmup'), think: numberOf(given, 'think'), timeoutMs: timeOf(given, 'timeout'), lateMs: timeOf(given, 'late'),
    generators: wholeOf(given, 'generators'), connectionsMax: wholeOf(given, 'connections'), seed: wholeOf(given, 'seed'),
    ledger: ledger === undefined ? undefined : path.resolve(ledger),
  }
}

async function offeredOf(given: Arguments): Promise<Pick<LoadPlan, 'rate' | 'users' | 'durationMs'>> {
  const [rate, ramp, users, trace] = [textOf(given, 'rate'), textOf(given, 'ramp'), textOf(given, 'users'), textOf(given, 'trace')]
  if ([rate, ramp, users, trace].filter(one => one !== undefined).length > 1) throw fault('USAGE', 'give one of --rate, --ramp, --users and --trace')
  for (const option of ['speed', 'from', 'peak']) if (trace === undefined && textOf(given, option) !== undefined) throw fault('USAGE', `--${option} goes with --trace`)
  const forMs = timeOf(given, 'for')
  const durationMs = forMs ?? forMsStandard
  if (users !== undefined) return { users: parseProfile(users, '--users'), durationMs }
  if (trace === undefined) return { rate: ramp !== undefined ? parseProfile(ramp, '--ramp') : rate !== undefined ? parseProfile(rate, '--rate') : constantProfile(rateStandard), durationMs }
  const read = await readTrace(trace, { speed: numberOf(given, 'speed'), peakPerSecond: numberOf(given, 'peak'), fromMs: timeOf(given, 'from'), durationMs: forMs })
  return { rate: read.profile, durationMs: read.durationMs }
}

function arrivalsOf(kind: string | undefined): LoadPlan['arrivals'] {
  if (kind === undefined || kind === 'poisson' || kind === 'constant') return kind
  throw fault('USAGE', `--arrivals is '${kind}'; write poisson or constant`)
}

function mixOf(list: string | undefined): Record<string, number> | undefined {
  if (list === undefined) return undefined
  return Object.fromEntries(list.split(',').map(one => {
    const [name, weight] = one.split('=')
    if (!name || !(Number(weight ?? 1) >= 0)) throw fault('USAGE', `--mix is '${list}'; write weights like reader=9,writer=1`)
    return [name, Number(weight ?? 1)]
  }))
}

function urlOf(given: Arguments): string {
  return (textOf(given, 'url') ?? `http://127.0.0.1:${portOf('PORT') ?? 3000}`).replace(/\/$/, '')
}

function textOf({ values }: Arguments, option: string): string | undefined {
  const value = values[option]
  return typeof value === 'string' ? value : undefined
}

function timeOf(given: Arguments, option: string): number | undefined {
  const value = textOf(given, option)
  return value === undefined ? undefined : parseDuration(value, `--${option}`)
}

function numberOf(given: Arguments, option: string): number | undefined {
  const value = textOf(given, option)
  if (value === undefined) return undefined
  if (!(Number(value) > 0) || Number(value) === Infinity) throw fault('USAGE', `--${option} is '${value}'; write a number above 0`)
  return Number(value)
}

function wholeOf(given: Arguments, option: string): number | undefined {
  const value = numberOf(given, option)
  if (value !== undefined && !Number.isInteger(value)) throw fault('USAGE', `--${option} is '${value}'; write a whole number`)
  return value
}
