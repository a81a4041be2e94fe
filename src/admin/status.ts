/** What runs: its processes, the plan they follow, and the way to replace them by new ones. */
import { fault } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { IntentCount } from '../runtime/statistics.ts'
import type { AdminRoute } from './route.ts'

export function statusRoutes(deployment: Deployment): AdminRoute[] {
  let restarting = false
  return [
    { method: 'GET', path: '/status', answer: () => statusOf(deployment) },
    { method: 'GET', path: '/plan', answer: () => deployment.plan },
    { method: 'GET', path: '/topology', answer: () => deployment.topology },
    { method: 'GET', path: '/statistics', answer: () => statisticsOf(deployment) },
    {
      method: 'POST', path: '/restart',
      async answer() {
        if (restarting) throw fault('CONFLICT', 'a restart is under way; GET /status shows how far it is')
        restarting = true
        try { await deployment.restart() } finally { restarting = false }
        return statusOf(deployment)
      },
    },
    { method: 'POST', path: '/flush-cache', answer: () => flushCache(deployment) },
  ]
}

/** The processes that had something to forget. */
async function flushCache({ orchestrator }: Deployment) {
  const answers = await orchestrator.ask('flush-cache')
  return { flushed: answers.filter(one => one.answer === true).map(({ name, replica }) => ({ name, replica })) }
}

export async function statisticsOf({ orchestrator }: Deployment): Promise<IntentCount[]> {
  const { mergeStatistics } = await import('../runtime/statistics.ts')
  return mergeStatistics((await orchestrator.ask('statistics')).map(one => one.answer as IntentCount[]))
}

/** Decisions of the autoscaler that are shown, the newest first. */
const decisionsShown = 20

export function statusOf({ plan, url, cdnUrl, orchestrator, autoscaler }: Deployment) {
  const roles = new Map(plan.processes.map(process => [process.name, process.does]))
  return {
    application: plan.application, topology: plan.topology, url, ...cdnUrl === null ? {} : { cdn: cdnUrl },
    ...autoscaler === null ? {} : { scaling: autoscaler.decisions(decisionsShown).map(({ atMs, ...decision }) => ({ at: new Date(atMs).toISOString(), ...decision })) },
    processes: orchestrator.observe().map(process => ({ ...process, does: roles.get(process.name), since: new Date(process.startedAtMs).toISOString() })),
  }
}
