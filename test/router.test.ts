/** The router: each request gives back its own ticket, and its input is what path, query and body say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { silentLogger } from '../src/base/log.ts'
import { installClock, systemClock } from '../src/base/time.ts'
import { application, service } from '../src/index.ts'
import type { HttpRequest, RequestHead } from '../src/ports/ingress.ts'
import { Limiter } from '../src/runtime/limiter.ts'
import type { Ticket } from '../src/runtime/limiter.ts'
import { inputOf } from '../src/runtime/request.ts'
import { createRouter } from '../src/runtime/router.ts'
import { Tracer } from '../src/runtime/tracer.ts'

class Recording extends Limiter {
  readonly left: Ticket[] = []
  override leave(ticket: Ticket): void { this.left.push(ticket); super.leave(ticket) }
}

const notes = service('notes')
const list = notes.query({ http: 'GET /notes', key: () => '1', input: z.object({}), output: z.object({}), run: async () => ({}) })
const app = application('tickets', { services: { notes: { notes, list } } })
const head = { route: 'notes.list', method: 'GET', path: '/notes', parameters: {}, query: {}, headers: {} } as RequestHead

test('requests of one route that end out of order give back their own tickets', t => {
  let atMs = 0
  t.after(installClock({ ...systemClock, monotonicMs: () => atMs }))
  const limiter = new Recording()
  const router = createRouter({ app, limiter, tracer: new Tracer(), log: silentLogger, pages: new Map(), isDraining: () => false, dispatcher: { answer: async () => ({ output: {}, kept: null, token: undefined }) } })
  const slow = router.admit(head)
  atMs = 500
  const quick = router.admit(head)
  router.ended(quick)
  router.ended(slow)
  assert.deepEqual(limiter.left.map(ticket => ticket.startedAtMs), [500, 0])
  assert.equal(limiter.state.inFlight, 0)
})

test('parameters stand above the body, the body above the query, and no prototype is touched', () => {
  const from = (parts: Partial<HttpRequest>) => inputOf({ ...head, body: undefined, ...parts } as HttpRequest)
  assert.deepEqual(from({ parameters: { id: 'p' }, body: { id: 'b', name: 'b' }, query: { id: 'q', name: 'q', page: 'q' } }), { id: 'p', name: 'b', page: 'q' })
  assert.deepEqual(from({ body: [1] }), {})
  const query = Object.create(null) as Record<string, string[]>
  query['__proto__'] = ['1', '2']
  assert.equal(Object.getPrototypeOf(from({ query })), Object.prototype)
})
