/** `tenfold doctor`: what this machine and deployment are missing, and how to mend it. */
import { existsSync } from 'node:fs'
import { examine } from '../boot/examination.ts'
import type { Finding } from '../boot/finding.ts'
import { appFileOf, appOption, dataFolderOf, portOf, print } from './command.ts'
import type { CliCommand } from './command.ts'

export const doctor: CliCommand = {
  name: 'doctor',
  summary: 'find what is missing or wrong, and its mend',
  help: `Looks at this machine (Node, Postgres's program, memory, disk, clock, ports), the application,
and the deployment that runs on the data folder: its processes, Postgres's settings, migrations,
events, jobs and dead letters. Changes nothing. Ends with 1 when something is wrong.

  --app FILE        the application (app.ts); without one the machine alone is looked at
  --topology NAME   whose database and ports (1-monolith)

Environment: PORT, ADMIN_PORT, HOST and TENFOLD_DATA as for the deployment.`,
  options: { ...appOption, topology: { type: 'string', default: '1-monolith' } },
  async run(given) {
    const appFile = given.values.app === undefined && !existsSync('app.ts') ? null : appFileOf(given)
    const findings = await examine({
      appFile, topologyName: String(given.values.topology), dataFolder: dataFolderOf(),
      host: process.env.HOST ?? '127.0.0.1', port: portOf('PORT'), adminPort: portOf('ADMIN_PORT') ?? 4000,
    })
    const wrong = findings.filter(one => one.state === 'wrong').length
    print(given, { ok: wrong === 0, findings }, `${tableOf(findings)}\n\n${wrong === 0 ? 'nothing is wrong' : `${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong`}`)
    return wrong === 0 ? 0 : 1
  },
}

function tableOf(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(one => one.what.length))
  const areas = Map.groupBy(findings, one => one.area)
  return [...areas].map(([area, list]) => `${area}\n${list.map(({ what, state, found, mend }) => {
    const line = `  ${state === 'wrong' ? 'WRONG' : state.padEnd(5)}  ${what.padEnd(width)}  ${found}`
    return mend ? `${line}\n         ${' '.repeat(width)}  → ${mend}` : line
  }).join('\n')}`).join('\n\n')
}
