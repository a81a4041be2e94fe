/**
 * Varnish as a child process on loopback: configuration, parameters, start. What it keeps
 * is in memory: a new start begins with an empty cache, so a purge it missed is not missing.
 */
import { chown, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { accepts, Daemon, engineFolder, findProgram } from '../../base/daemon.ts'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'

export interface VarnishServerOptions {
  /** From `renderVcl`. */
  readonly vcl: string
  /** Its working folder goes to the sub-folder `varnish`. */
  readonly dataFolder: string
  readonly host?: string
  readonly port: number
  readonly storageBytesMax?: number
  readonly log: Logger
}

export interface VarnishServer {
  readonly url: string
  readonly port: number
  /** Of the process that runs now; null while it is down. */
  readonly pid: number | null
  stop(): Promise<void>
}

const parameters: Readonly<Record<string, string>> = {
  // The origin's own variants, with its strong ETags, instead of ones that Varnish packs and weakens.
  http_gzip_support: 'off',
  // Room for many tags on one answer.
  http_resp_hdr_len: '20k',
  http_resp_size: '64k',
  workspace_backend: '128k',
  workspace_client: '128k',
  // The origin closes idle connections later than this, so that none is closed while it is used.
  backend_idle_timeout: '50',
  max_restarts: '4',
}

export async function startVarnishServer(options: VarnishServerOptions): Promise<VarnishServer> {
  const { host = '127.0.0.1', port, log } = options
  const program = findProgram('varnishd', ['varnish', 'varnish-modules'])
  const folder = await engineFolder(options.dataFolder, 'varnish')
  const vclFile = path.join(folder, 'tenfold.vcl')
  const daemon = new Daemon({ title: `Varnish on port ${port}`, program, folder, log, argv: () => argumentsOf(options, folder, vclFile), isReady: () => accepts(host, port) })
  await daemon.endPredecessor()
  await writeConfiguration(vclFile, options.vcl)
  if (await accepts(host, port)) throw fault('USAGE', `port ${port} is taken: stop what listens there, or choose another one for Varnish`)
  await daemon.start()
  return { url: `http://${host}:${port}`, port, get pid() { return daemon.pid }, stop: () => daemon.stop() }
}

function argumentsOf({ host = '127.0.0.1', port, storageBytesMax = 268_435_456 }: VarnishServerOptions, folder: string, vclFile: string): string[] {
  return [
    '-F', '-n', path.join(folder, 'work'), '-f', vclFile, '-a', `${host}:${port}`, '-T', 'none',
    '-s', `malloc,${storageBytesMax}b`, ...Object.entries(parameters).flatMap(([name, value]) => ['-p', `${name}=${value}`]),
  ]
}

/** It has the secret in it. Started by root, Varnish reads it as the user it works as. */
async function writeConfiguration(file: string, text: string): Promise<void> {
  await rm(file, { force: true })
  await writeFile(file, text, { mode: 0o600, flag: 'wx' })
  const user = process.getuid?.() === 0 ? /^varnish:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8')) : null
  if (user) await chown(file, Number(user[1]), Number(user[2]))
}
