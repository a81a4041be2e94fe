/**
 * The topology and the plan, as a spare process tells them: the supervisor never imports
 * the application, and so stays small for as long as it runs. The same process is then
 * taken for the first of the plan, so that nothing is imported for the plan alone.
 */
import type { ChildProcess } from 'node:child_process'
import { fault } from '../base/errors.ts'
import type { ChildMessage } from '../drivers/process/orchestrator.ts'
import type { Plan } from '../topology/plan.ts'
import type { Topology } from '../topology/topology.ts'

/** What the spare of an application tells, one after the other, while it loads. */
export type Learnt = { readonly topology: Topology } | { readonly plan: Plan }

export interface Learning {
  /** Known first, before the application is imported. */
  readonly topology: Promise<Topology>
  readonly plan: Promise<Plan>
}

export function learnFrom(spare: ChildProcess, appFile: string): Learning {
  const topology = Promise.withResolvers<Topology>()
  const plan = Promise.withResolvers<Plan>()
  const fail = (error: Error) => {
    topology.reject(error)
    plan.reject(error)
  }
  // Whoever waits for one of them may never come to wait for the other.
  for (const { promise } of [topology, plan]) promise.catch(() => {})
  spare.on('message', message => {
    const heard = message as ChildMessage
    if (heard.type === 'failed') fail(fault('DECLARATION_FAULT', heard.reason))
    if (heard.type !== 'learnt') return
    const learnt = heard.answer as Learnt
    if ('topology' in learnt) topology.resolve(learnt.topology)
    else plan.resolve(learnt.plan)
  })
  spare.once('error', fail)
  spare.once('exit', (code, signal) => fail(fault('DECLARATION_FAULT', `the application ${appFile} cannot be imported: its process ended with ${signal ?? `exit code ${code}`}; see its output above`)))
  return { topology: topology.promise, plan: plan.promise }
}
