/** Evidence for advice: watched at the admin port of the running deployment, or read from a recorded load run. */
import { readFile } from 'node:fs/promises'
import { fault } from '../base/errors.ts'
import { withGenerator } from '../insight/binding/binding.ts'
import type { Configured } from '../insight/binding/configured.ts'
import type { Evidence } from '../insight/binding/evidence.ts'
import type { LoadReport } from '../load/report.ts'
import type { Topology } from '../topology/topology.ts'
import { configuredOf } from '../insight/binding/configured.ts'
import type { Plan } from '../topology/plan.ts'
import { portOf } from './command.ts'

const adminMs = 5_000

/** What `tenfold load --json` prints. */
export type RecordedRun = LoadReport & { readonly evidence: Evidence | null }

export const adminUrlOf = (): string => `http://127.0.0.1:${portOf('ADMIN_PORT') ?? 4000}`

async function read<T>(place: string, timeoutMs: number, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(adminUrlOf() + place, { signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...signal ? [signal] : []]) })
  if (!answer.ok) throw fault('UNAVAILABLE', `the admin port answered ${place} with ${answer.status}`)
  return await answer.json() as T
}

export interface Watched { readonly application?: string; readonly url?: string }

/** Null when no deployment answers on the admin port, or another one than this. */
export async function watchedEvidence(watched: Watched, watchMs: number, signal?: AbortSignal): Promise<Evidence | null> {
  const status = await read<Watched>('/status', adminMs, signal).catch(() => null)
  if (!status || (watched.application ?? status.application) !== status.application || (watched.url ?? status.url) !== status.url) return null
  return read<Evidence>(`/evidence?seconds=${watchMs / 1_000}`, watchMs + 30_000, signal).catch(() => null)
}

export async function recordedEvidence(file: string): Promise<Evidence> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw fault('USAGE', `${file} cannot be read (${error.code})`) })
  let run: Partial<RecordedRun>
  try { run = JSON.parse(text) as Partial<RecordedRun> } catch { throw fault('USAGE', `${file} is not what 'tenfold load --json' prints`) }
  if (!run.timeline || !run.generator) throw fault('USAGE', `${file} is not what 'tenfold load --json' prints`)
  if (!run.evidence) throw fault('USAGE', `${file} has no evidence: run 'tenfold load --json' with ADMIN_PORT set to that of the deployment`)
  return withGenerator(run.evidence, run as RecordedRun)
}

/** Of the deployment that answers; null where none does. */
export async function configuredHere(nextTopologyOf: (topology: string) => Promise<string | null>): Promise<Configured | null> {
  try {
    const [plan, topology] = await Promise.all([read<Plan>('/plan', adminMs), read<Topology>('/topology', adminMs)])
    return configuredOf(plan, topology, await nextTopologyOf(plan.topology))
  } catch { return null }
}
