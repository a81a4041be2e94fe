/** Runs a load plan in a process of its own, so that the generator and its caller do not disturb each other. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { pin } from './affinity.ts'
import type { LoadPlan, LoadReport, LoadRequest } from './plan.ts'

export type { LoadReport, LoadRequest, LoadSlice, RateStep } from './plan.ts'

export interface LoadOptions extends Omit<LoadPlan, 'requests'> {
  /** Sent round robin. A generator is read up to its end or 10,000 requests. */
  readonly requests: Iterable<LoadRequest>
  /** Called when the warm-up is over: for counters that should not contain it. */
  readonly onMeasure?: () => void
  /** The only one that the generator may use. */
  readonly processor?: number | undefined
}

const requestsMax = 10_000

function firstOf(requests: Iterable<LoadRequest>): LoadRequest[] {
  const taken: LoadRequest[] = []
  for (const request of requests) if (taken.push(request) === requestsMax) break
  return taken
}

export function runLoad({ requests, onMeasure, processor, ...rest }: LoadOptions): Promise<LoadReport> {
  const plan: LoadPlan = { ...rest, requests: firstOf(requests) }
  const child = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  if (processor !== undefined) pin(child.pid!, processor)
  return new Promise((resolve, reject) => {
    child.on('message', (message: 'measuring' | LoadReport) => {
      if (message === 'measuring') onMeasure?.()
      else resolve(message)
    })
    child.on('error', reject)
    child.on('exit', code => {
      const fail = () => reject(new Error(`the load generator ended with ${code} before its report`))
      // On a busy machine the end is heard of before what was sent last.
      if (child.connected) child.once('disconnect', fail)
      else fail()
    })
    child.send(plan)
  })
}
