/** CPU time of a Postgres on this machine, from /proc: of its processes, and of those of its children that have ended. */
import { readFile } from 'node:fs/promises'

export interface ServerCpu {
  readonly seconds: number
  /** Of the processes that still run: time in which they could have run and no processor was free. */
  readonly waitSeconds: number
}

/** Linux's USER_HZ, which is 100 wherever Node runs. */
const ticksPerSecond = 100
/** Fields of /proc/PID/stat after the name: the parent, own ticks in user and system mode, and those of ended children. */
const [parentField, userField, systemField, endedUserField, endedSystemField] = [1, 11, 12, 13, 14]

/** An address of several servers does not say which of them was reached. */
const isHere = (url: string): boolean => URL.canParse(url) && ['127.0.0.1', 'localhost', '[::1]', ''].includes(new URL(url).hostname)

const text = (file: string): Promise<string | null> => readFile(file, 'utf8').catch(() => null)

async function statOf(pid: number): Promise<{ readonly name: string; readonly fields: readonly string[] } | null> {
  const stat = await text(`/proc/${pid}/stat`)
  // The name is in brackets and may contain any character.
  const [from, to] = stat === null ? [0, -1] : [stat.indexOf('('), stat.lastIndexOf(')')]
  return to < 0 ? null : { name: stat!.slice(from + 1, to), fields: stat!.slice(to + 2).split(' ') }
}

/** `backendPid`: of any connection, by which the server is found. Null where it runs elsewhere, or the system does not tell. */
export async function serverCpuOf(url: string, backendPid: number): Promise<ServerCpu | null> {
  if (process.platform !== 'linux' || !isHere(url)) return null
  const backend = await statOf(backendPid)
  const serverPid = Number(backend?.fields[parentField])
  const server = backend?.name.startsWith('postgres') ? await statOf(serverPid) : null
  const children = await text(`/proc/${serverPid}/task/${serverPid}/children`)
  if (!server?.name.startsWith('postgres') || children === null) return null
  const pids = [serverPid, ...children.trim().split(' ').map(Number)]
  const all = await Promise.all(pids.map(async pid => ({ stat: await statOf(pid), schedule: await text(`/proc/${pid}/schedstat`) })))
  const ticks = (fields: readonly string[], ...which: readonly number[]) => which.reduce((sum, index) => sum + Number(fields[index] ?? 0), 0)
  const own = all.reduce((sum, { stat }) => stat ? sum + ticks(stat.fields, userField, systemField) : sum, 0)
  return {
    seconds: (own + ticks(server.fields, endedUserField, endedSystemField)) / ticksPerSecond,
    waitSeconds: all.reduce((sum, { schedule }) => schedule === null ? sum : sum + Number(schedule.split(' ')[1] ?? 0) / 1e9, 0),
  }
}
