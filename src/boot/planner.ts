/**
 * The plan, made in a process of its own that ends afterwards: the supervisor never imports
 * the application, and so stays small for as long as it runs.
 */
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { errorTable, fault, isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { planOf } from '../topology/plan.ts'
import type { Plan } from '../topology/plan.ts'
import { loadApplication, loadTopology } from './load.ts'

export interface PlanSource {
  readonly appFile: string
  readonly topologyName: string
  readonly topologyFile: string
}

type Outcome = { readonly plan: Plan } | { readonly code: ErrorCode; readonly message: string }

export async function readPlan({ appFile, topologyName, topologyFile }: PlanSource): Promise<Plan> {
  const child = fork(fileURLToPath(import.meta.url), [appFile, topologyName, topologyFile], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    child.once('message', value => { resolve(value as Outcome) })
    child.once('error', reject)
    // What is no refusal of Tenfold has printed its own stack.
    child.once('exit', code => { reject(fault('USAGE', `the application ${appFile} cannot be imported (exit code ${code}); see above`)) })
  })
  if ('plan' in outcome) return outcome.plan
  throw fault(outcome.code in errorTable ? outcome.code : 'INTERNAL', outcome.message)
}

async function plan(appFile: string, topologyName: string, topologyFile: string): Promise<Outcome> {
  try {
    return { plan: planOf(await loadApplication(appFile), topologyName, await loadTopology(topologyFile), availableParallelism()) }
  } catch (error) {
    if (!isTenfoldError(error)) throw error
    return { code: error.code, message: error.message }
  }
}

if (import.meta.main) {
  const outcome = await plan(process.argv[2]!, process.argv[3]!, process.argv[4]!)
  // An application may keep handles open; its work here is done.
  process.send!(outcome, () => { process.exit(0) })
}
