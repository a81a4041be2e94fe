/** `tenfold alerts`: writes what Prometheus, Alertmanager and Grafana need to watch the application. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fault } from '../base/errors.ts'
import { loadApplication } from '../boot/load.ts'
import { alertFiles, alerts as allAlerts, roundedBounds } from '../insight/alerts/alert-files.ts'
import type { AlertOptions } from '../insight/alerts/alert-files.ts'
import { objectivesIn } from '../insight/alerts/slo-rules.ts'
import { assertApplication, manifestOf } from '../model/manifest.ts'
import { appFileOf, appOption, portOf, print } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'

const adminPortStandard = 4000

export const alerts: CliCommand = {
  name: 'alerts',
  summary: 'write rules, route, dashboards and runbooks for Prometheus, Alertmanager and Grafana',
  help: `Writes to a folder, over what it wrote before: prometheus.yml and rules.yml with alerts on the
objectives (slo) of the intents, the processes, the database and what waits; alertmanager.yml;
dashboards/*.json for Grafana; runbooks/*.md, a page for each alert. Starts nothing. docs/alerts.md

  --app FILE        the application (app.ts)
  --out FOLDER      where the files go
  --job NAME        the scrape job (the application's name)
  --runbooks URL    where the runbook pages are served, for the links in alerts (runbooks)
  --page URL        web hook that is told of what cannot wait
  --ticket URL      web hook that is told of the rest

Environment: ADMIN_PORT (4000) and ADMIN_HOST (127.0.0.1) of the deployment, which Prometheus reads.`,
  options: { ...appOption, out: { type: 'string' }, job: { type: 'string' }, runbooks: { type: 'string' }, page: { type: 'string' }, ticket: { type: 'string' } },
  async run(given) {
    const { out } = given.values
    if (typeof out !== 'string') throw fault('USAGE', 'name the folder that the files go to with --out')
    const app = await loadApplication(appFileOf(given))
    assertApplication(app)
    const manifest = manifestOf(app)
    const files = alertFiles(manifest, optionsOf(given, app.name))
    const folder = path.resolve(out)
    await write(folder, files)
    const objectives = objectivesIn(manifest).map(one => one.name)
    const rounded = roundedBounds(manifest)
    print(given, { folder, files: [...files.keys()], alerts: allAlerts.map(one => one.name), objectives, rounded }, [
      `${files.size} files in ${folder}: ${allAlerts.length} alerts, ${objectives.length} intents with objectives`,
      ...rounded.map(one => `${one.intent}: ${one.withinMs} ms is no bound of the histogram; judged at ${one.boundMs} ms`),
      ...objectives.length === 0 ? ["no intent declares an slo, so nothing watches what users feel: add slo: { availability: 0.999 } to those that matter"] : [],
    ].join('\n'))
    return 0
  },
}

function optionsOf({ values }: Arguments, name: string): AlertOptions {
  const text = (option: string) => typeof values[option] === 'string' ? values[option] : undefined
  const url = (option: 'page' | 'ticket') => {
    const value = text(option)
    if (value !== undefined && !(URL.canParse(value) && /^https?:/.test(value))) throw fault('USAGE', `--${option} is '${value}'; write an address that begins with http:// or https://`)
    return value === undefined ? {} : { [option]: value }
  }
  const job = text('job') ?? name
  if (!/^[\w.-]+$/.test(job)) throw fault('USAGE', `--job is '${job}'; write letters, digits, '-', '_' and '.'`)
  const target = `${process.env.ADMIN_HOST ?? '127.0.0.1'}:${portOf('ADMIN_PORT') ?? adminPortStandard}`
  return { job, target, runbooks: text('runbooks') ?? 'runbooks', ...url('page'), ...url('ticket') }
}

async function write(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  try {
    for (const [name, text] of files) {
      const file = path.join(folder, name)
      await mkdir(path.dirname(file), { recursive: true })
      await writeFile(file, text)
    }
  } catch (error) {
    throw fault('USAGE', `${folder} cannot be written (${(error as NodeJS.ErrnoException).code}); name another folder with --out`)
  }
}
