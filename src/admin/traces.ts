/** What the processes have kept of traces, put together. */
import { fault } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { Orchestrator } from '../ports/orchestrator.ts'
import type { TraceDetail, TraceFilter, TraceQuestion, TraceSummary } from '../runtime/trace-report.ts'
import { limitOf } from './limit.ts'
import type { AdminRoute } from './route.ts'

const limitBounds = { standard: 100, min: 1, max: 1_000 }

/** `GET /traces?intent=&failed=&limit=`. */
export async function traceList(orchestrator: Orchestrator, query: URLSearchParams): Promise<TraceSummary[]> {
  const failed = query.get('failed')
  const filter: TraceFilter = {
    intent: query.get('intent') ?? undefined,
    failed: failed === null ? undefined : failed === '1' || failed === 'true',
    limit: limitOf(query, limitBounds),
  }
  const { mergeSummaries } = await import('../runtime/trace-report.ts')
  return mergeSummaries(await told(orchestrator, { filter }), filter)
}

/** `GET /traces/<traceId>`. */
export async function traceDetail(orchestrator: Orchestrator, traceId: string): Promise<TraceDetail> {
  const { mergeDetails } = await import('../runtime/trace-report.ts')
  const detail = mergeDetails(traceId, await told(orchestrator, { traceId }))
  if (!detail) throw fault('NOT_FOUND', `no process keeps the trace ${traceId}; GET /traces lists those that are kept: of each intent the slowest and the failed, and those that were sampled`)
  return detail
}

async function told<T>(orchestrator: Orchestrator, question: TraceQuestion): Promise<{ readonly process: string; readonly answer: T }[]> {
  const answers = await orchestrator.ask('traces', question)
  return answers.filter(one => one.answer !== null).map(({ name, replica, answer }) => ({ process: `${name}.${replica}`, answer: answer as T }))
}

export function traceRoutes({ orchestrator }: Deployment): AdminRoute[] {
  return [
    { method: 'GET', path: '/traces', answer: ({ query }) => traceList(orchestrator, query) },
    { method: 'GET', path: '/traces/:id', answer: ({ path }) => traceDetail(orchestrator, path.id!) },
  ]
}
