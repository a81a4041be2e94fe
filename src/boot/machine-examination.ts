/** What this machine offers a deployment: Node, Postgres's program, memory, the data folder, clock and ports. */
import { access, constants, readdir, stat, statfs } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { quotaMend } from '../base/cpu-quota.ts'
import { now } from '../base/time.ts'
import { binariesPackage, findBinaries } from '../drivers/postgres/server-files.ts'
import { haproxyMend } from '../drivers/haproxy/balancer.ts'
import { natsMend } from '../drivers/nats/server.ts'
import { redisMend } from '../drivers/redis/server.ts'
import { finderOf } from './finding.ts'
import type { Finding } from './finding.ts'

const find = finderOf('machine')
const nodeMajorMin = 24
const mebibyte = 1_048_576
const memory = { wrongBelow: 256 * mebibyte, noteBelow: 768 * mebibyte }
const disk = { wrongBelow: 512 * mebibyte, noteBelow: 4_096 * mebibyte }
/** Files may be written on another machine, whose clock is a little ahead. */
const clockMarginMs = 60_000

export interface MachineOptions {
  readonly dataFolder: string
  readonly isEmbedded: boolean
  /** Whether the topology has a Redis started here. */
  readonly hasRedis: boolean
  /** True when the topology starts a broker here. */
  readonly hasBroker: boolean
  readonly hasBalancer: boolean
  /** True when it limits the processor time of something. */
  readonly hasQuotas: boolean
  /** The process that has claimed the data folder, if one lives. */
  readonly holder: number | null
  readonly host: string
  readonly ports: readonly { readonly name: string; readonly port: number }[]
}

export async function examineMachine(options: MachineOptions): Promise<Finding[]> {
  const findings = [
    node(), ...(options.isEmbedded ? [await binaries()] : []), ...(options.hasRedis ? [engine('Redis', redisMend())] : []), ...(options.hasBroker ? [engine('NATS', natsMend())] : []),
    ...(options.hasBalancer ? [engine('HAProxy', haproxyMend())] : []), ...(options.hasQuotas ? [quotas()] : []), sized('memory', 'available', process.availableMemory(), memory, 'end what needs it, or take a larger machine'),
    ...await dataFolder(options.dataFolder), await clock(options.dataFolder),
  ]
  for (const { name, port } of options.ports) findings.push(await portFinding(options, name, port))
  return findings
}

function node(): Finding {
  const good = Number(process.versions.node.split('.')[0]) >= nodeMajorMin
  return find('Node', process.version, !good && { mend: `install Node ${nodeMajorMin} or newer, or the npm package 'node'` })
}

async function binaries(): Promise<Finding> {
  return findBinaries(binariesPackage).then(
    ({ version }) => find('embedded Postgres', `${binariesPackage} ${version}`),
    (error: Error) => find('embedded Postgres', 'not installed', { mend: error.message }))
}

const engine = (name: string, mend: string | null): Finding => find(name, mend === null ? 'installed' : 'not installed', mend !== null && { mend })

function quotas(): Finding {
  const mend = quotaMend()
  return find('cgroups', mend === null ? 'limit processor time' : 'cannot limit processor time', mend !== null && { mend })
}

function sized(what: string, word: string, bytes: number, { wrongBelow, noteBelow }: typeof memory, mend: string): Finding {
  const found = `${Math.round(bytes / mebibyte)} MiB ${word}`
  return find(what, found, bytes < noteBelow && { mend, state: bytes < wrongBelow ? 'wrong' : 'note' })
}

async function dataFolder(folder: string): Promise<Finding[]> {
  let at = folder
  while (await stat(at).then(() => false, () => true)) at = path.dirname(at)
  const isThere = at === folder
  const usable = (await stat(at)).isDirectory() && await access(at, constants.R_OK | constants.W_OK | constants.X_OK).then(() => true, () => false)
  const { bavail, bsize } = await statfs(at)
  return [
    find('data folder', `${folder}${isThere ? '' : ' (not there yet)'}`, !usable && { mend: `${at} is not a folder that this user may write to: change its owner, or choose another with TENFOLD_DATA` }),
    sized('disk', 'free', bavail * bsize, disk, 'free some, or choose a data folder on another disk with TENFOLD_DATA'),
  ]
}

/** Ids and retention go by the clock: one that went back shows in files from the future. */
async function clock(folder: string): Promise<Finding> {
  const time = new Date(now()).toISOString()
  const changed = await Promise.all(['', ...await readdir(folder).catch(() => [])].map(name => stat(path.join(folder, name)).then(one => one.mtimeMs, () => 0)))
  const ahead = Math.max(...changed) - now()
  return find('clock', time, ahead > clockMarginMs && { mend: `the data folder was written ${Math.round(ahead / 1000)} s in the future, so the clock has gone back: set it right` })
}

async function portFinding({ host, holder }: MachineOptions, name: string, port: number): Promise<Finding> {
  const refusal = await refusalOfPort(host, port)
  if (refusal === null) return find(`port ${port}`, `free (${name})`, holder !== null && { mend: `the deployment that runs (process ${holder}) has another one: set ${name} as it was set for that`, state: 'note' })
  // Taken by the deployment, as its own examination tells.
  if (refusal === 'EADDRINUSE' && holder !== null) return find(`port ${port}`, `in use (${name})`)
  return find(`port ${port}`, `${refusal === 'EADDRINUSE' ? 'taken by another program' : refusal} (${name})`, { mend: `stop what listens there, or set ${name} to another port` })
}

const refusalOfPort = (host: string, port: number): Promise<string | null> => new Promise(resolve => {
  const probe = net.createServer().once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  probe.listen(port, host, () => probe.close(() => resolve(null)))
})
