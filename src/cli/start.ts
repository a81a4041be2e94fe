/** `tenfold start`: runs an application on a topology until it is told to stop. */
import { limits } from '../base/limits.ts'
import { createLogger } from '../base/log.ts'
import type { Logger } from '../base/log.ts'
import { after } from '../base/time.ts'
import { startAdminServer } from '../admin/server.ts'
import { deploy } from '../boot/deployment.ts'
import type { Deployment, DeploymentOptions } from '../boot/deployment.ts'
import { findTopology } from '../boot/load.ts'
import { LogBook } from '../boot/log-book.ts'
import { appFileOf, appOption, dataFolderOf, portOf, print } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'

export const start: CliCommand = {
  name: 'start',
  summary: 'run the application',
  help: `Runs the application on a topology and prints 'ready <url>' once requests are served.
SIGTERM and Ctrl-C finish what runs and stop; before that line they give the start up.

  --app FILE        the application (app.ts)
  --topology NAME   one of the folder topologies beside it (1-monolith)

The console is the page at the admin port: docs/console.md.

Environment: PORT (3000), ADMIN_PORT (4000), HOST (127.0.0.1), TENFOLD_DATA (.tenfold), LOG_LEVEL (info),
TENFOLD_STANDBY (on): 'off' saves the memory of the process that waits to replace one that crashes.
ADMIN_HOST (127.0.0.1): elsewhere the console asks for the token that 'tenfold console' prints;
ADMIN_LOGIN=always: on loopback too.`,
  options: { ...appOption, topology: { type: 'string', default: '1-monolith' } },
  async run(given) {
    const book = new LogBook()
    const log = createLogger({ process: 'supervisor', destination: book.supervisor })
    const stopping = stopSignal()
    const ending = new AbortController()
    const starting = serve(given, { log, book, standby: process.env.TENFOLD_STANDBY === 'off' ? undefined : 'application', signal: ending.signal })
    const first = await Promise.race([starting, stopping])
    if (typeof first === 'string') {
      log.info({ signal: first }, 'stopping before the start is over')
      ending.abort()
      return giveUp(starting, log)
    }
    const serving = first
    print(given, serving.facts, serving.text)
    const signal = await stopping
    log.info({ signal }, 'stopping')
    await serving.stop()
    return 0
  },
}

/** What a stop may take besides the requests: together less than ten seconds. */
const marginMs = 1_500

/** The exit code. */
async function giveUp(starting: Promise<Serving>, log: Logger): Promise<number> {
  const late = new Promise<'late'>(resolve => { after(limits.drainMs + marginMs, () => resolve('late'), true) })
  // Rejected: it has been stopped with what failed.
  if (await Promise.race([starting.then(serving => serving.stop(), () => {}), late]) !== 'late') return 0
  log.error('the start cannot be ended in time: what it has started is left, and found by the next one')
  return 1
}

/** Resolves with the signal that asks this process to end. */
export function stopSignal(): Promise<string> {
  return new Promise(resolve => { for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal)) })
}

export interface Serving {
  readonly deployment: Deployment
  readonly facts: { readonly url: string; readonly cdn?: string; readonly docs: string; readonly console: string; readonly admin: string; readonly topology: string }
  readonly text: string
  stop(): Promise<void>
}

export interface ServeOptions extends Pick<DeploymentOptions, 'standby' | 'signal'> { readonly log: Logger; readonly book: LogBook }

/** Deploys what the options name, with its admin port. */
export async function serve(given: Arguments, { log, book, standby, signal }: ServeOptions): Promise<Serving> {
  const appFile = appFileOf(given)
  const { name, file } = await findTopology(appFile, String(given.values.topology))
  const deployment = await deploy({
    appFile, topologyName: name, topologyFile: file, dataFolder: dataFolderOf(),
    host: process.env.HOST ?? '127.0.0.1', port: portOf('PORT'), log, book, standby, signal,
  })
  const admin = await startAdminServer(deployment, portOf('ADMIN_PORT') ?? 4000, { host: process.env.ADMIN_HOST || undefined, login: process.env.ADMIN_LOGIN === 'always' }).catch(async (error: unknown) => {
    await deployment.stop()
    throw error
  })
  const facts = { url: deployment.url, ...deployment.cdnUrl ? { cdn: deployment.cdnUrl } : {}, docs: `${deployment.url}/docs`, console: `${admin.url}/`, admin: `${admin.url}/status`, topology: name }
  return {
    deployment, facts,
    text: `${deployment.plan.application} on ${name}\n  api      ${facts.url}\n  docs     ${facts.docs}\n  console  ${facts.console}\n  admin    ${facts.admin}${deployment.cdnUrl ? `\n  cdn      ${deployment.cdnUrl}` : ''}\nready ${facts.url}`,
    stop: async () => {
      await admin.close()
      await deployment.stop()
    },
  }
}
