/** Ingresses with one fault each, made from a right one: the suite must notice. */
import { sleep } from '../../../src/base/time.ts'
import type { Admission, HttpRequest, Ingress, IngressHandler, Listening, ListenOptions } from '../../../src/ports/ingress.ts'

const over = (ingress: Ingress, change: (options: ListenOptions) => Partial<ListenOptions>, after: (listening: Listening) => Partial<Listening> = () => ({})): Ingress => ({
  async listen(options) {
    const listening = await ingress.listen({ ...options, ...change(options) })
    return { ...listening, ...after(listening) }
  },
})

const withHandler = (ingress: Ingress, change: (handler: IngressHandler, options: ListenOptions) => Partial<IngressHandler>): Ingress =>
  over(ingress, options => ({ handler: { ...options.handler, ...change(options.handler, options) } }))

const seenAs = (request: HttpRequest, parts: Partial<Record<keyof HttpRequest, () => unknown>>): HttpRequest => new Proxy(request, {
  get: (target, key) => key in parts ? parts[key as keyof HttpRequest]!() : Reflect.get(target, key, target) as unknown,
})

export const newSignalEachTime = (ingress: Ingress): Ingress => withHandler(ingress, handler => ({
  handle: request => handler.handle(seenAs(request, { signal: () => new AbortController().signal })),
}))

export const patternForPath = (ingress: Ingress): Ingress => withHandler(ingress, (handler, { routes }) => ({
  handle: request => handler.handle(seenAs(request, { path: () => routes.find(route => route.name === request.route)!.path })),
}))

/** Lets through what it should refuse. */
export const credulous = (ingress: Ingress): Ingress => withHandler(ingress, handler => ({
  refuse(...facts) { return { ...handler.refuse(...facts), status: 200 } },
}))

export const admissionsInOrder = (ingress: Ingress): Ingress => withHandler(ingress, handler => {
  const admissions: Admission[] = []
  return {
    admit(head) { const admission = handler.admit(head); admissions.push(admission); return admission },
    ended: () => handler.ended(admissions.shift()!),
  }
})

export const endsOnlyAnswers = (ingress: Ingress): Ingress => withHandler(ingress, handler => {
  const answered = new Set<string>()
  return {
    admit(head) { return Object.assign(handler.admit(head), { id: head.path }) },
    async handle(request) { const answer = await handler.handle(request); if (!request.signal.aborted) answered.add(request.path); return answer },
    ended(admission) { if (answered.delete((admission as Admission & { id: string }).id)) handler.ended(admission) },
  }
})

/** What is left running takes no place. */
export const endsWithTheClient = (ingress: Ingress): Ingress => withHandler(ingress, handler => {
  const ended = new Set<Admission>()
  const byPath = new Map<string, Admission>()
  const end = (admission: Admission) => { if (!ended.has(admission)) { ended.add(admission); handler.ended(admission) } }
  return {
    admit(head) { const admission = handler.admit(head); byPath.set(head.path, admission); return admission },
    handle(request) {
      const admission = byPath.get(request.path)!
      request.signal.addEventListener('abort', () => end(admission))
      return handler.handle(request)
    },
    ended: end,
  }
})

export const refusesHead = (ingress: Ingress): Ingress => withHandler(ingress, handler => ({
  handle: async request => request.method === 'HEAD' ? { status: 405, headers: {}, body: null } : handler.handle(request),
}))

export const neverEmpty = (ingress: Ingress): Ingress => withHandler(ingress, handler => ({
  async handle(request) { const answer = await handler.handle(request); return answer.body ? { ...answer, status: 200 } : answer },
}))

export const firstMountWins = (ingress: Ingress): Ingress => over(ingress, ({ mounts }) => ({
  mounts: mounts.map(mount => ({ ...mount, handle: (request, response) => mounts.find(one => request.url!.startsWith(one.prefix))!.handle(request, response) })),
}))

/** At / it gets everything. */
export const rootShadows = (ingress: Ingress): Ingress => over(ingress, ({ mounts }) => ({ mounts: mounts.map(mount => mount.prefix === '/' ? { ...mount, prefix: '' } : mount) }))

export function forgetsMounts(ingress: Ingress): Ingress {
  let running = 0
  return over(ingress, ({ handler }) => ({ handler: { ...handler,
    admit(head) { running++; return handler.admit(head) },
    ended(admission) { running--; handler.ended(admission) },
  } }), listening => ({ async drain() { while (running > 0) await sleep(5); await listening.close() } }))
}

export const leavesBusyOpen = (ingress: Ingress): Ingress => over(ingress, () => ({}), listening => ({
  async drain(graceMs) { void listening.drain(60_000); await sleep(graceMs) },
}))

/** Waits, and tells no client. */
export const drainsInSilence = (ingress: Ingress): Ingress => over(ingress, () => ({}), () => ({ drain: () => sleep(300) }))

export const dropsRunning = (ingress: Ingress): Ingress => over(ingress, () => ({}), listening => ({ drain: () => listening.close() }))
