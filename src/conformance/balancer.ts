/** What every balancer must keep: src/ports/balancer.ts, seen by clients in front of real nodes. */
import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Balancer, Node } from '../ports/balancer.ts'
import { suite } from './check.ts'

export interface BalancerSubject {
  readonly balancer: Balancer
  /** Where clients ask. */
  readonly url: string
  /** Below it requests are another's. */
  readonly foreignPrefix: string
  /** In each node at the same time. */
  readonly nodeRequestsMax: number
  /** A node whose failures end is trusted again within this time. */
  readonly ejectMs: number
  /** A node that was added has its whole share after this time. */
  readonly slowStartMs: number
  /** Ends the engine hard; something starts it again. For the fault `restart`. */
  kill(): void
}

interface Asked { readonly method: string; readonly path: string; readonly headers: http.IncomingHttpHeaders }

/** A server that the check commands. */
class TestNode {
  static #count = 0
  readonly asked: Asked[] = []
  inFlight = 0
  inFlightMax = 0
  /** `hang up` closes the connection instead of an answer. */
  behaves: 'well' | 'fails' | 'hangs up' = 'well'
  delayMs = 0
  readonly #server: http.Server
  readonly #connections = new Set<Socket>()
  readonly node: Node

  private constructor(server: http.Server, port: number) {
    this.#server = server
    this.node = { name: `node-${process.pid}-${TestNode.#count++}`, host: '127.0.0.1', port }
    server.on('connection', connection => { this.#connections.add(connection); connection.once('close', () => this.#connections.delete(connection)) })
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async listen(): Promise<TestNode> {
    const server = http.createServer({ keepAliveTimeout: 60_000 })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return new TestNode(server, (server.address() as AddressInfo).port)
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    request.resume()
    if (request.url === '/health') return void response.end('well')
    this.asked.push({ method: request.method!, path: request.url!, headers: request.headers })
    this.inFlightMax = Math.max(this.inFlightMax, ++this.inFlight)
    if (this.delayMs > 0) await sleep(this.delayMs)
    this.inFlight--
    if (this.behaves === 'hangs up') return void request.socket.destroy()
    response.statusCode = this.behaves === 'fails' ? 500 : 200
    response.end(this.node.name)
  }

  /** As a killed process: nobody listens, and its connections end. */
  end(): void {
    this.#server.close()
    for (const connection of this.#connections) connection.destroy()
  }
}

interface Seen { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: string }

function ask(url: string, method = 'GET', headers: http.OutgoingHttpHeaders = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    http.request(url, { method, headers, agent: false }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', chunk => { body += chunk }).on('error', reject).on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
    }).on('error', reject).end(method === 'POST' ? '{}' : undefined)
  })
}

/** A check that has failed no longer waits for them. */
function many(count: number, work: (index: number) => Promise<Seen>): Promise<Seen[]> {
  const all = Promise.all(Array.from({ length: count }, (_, index) => work(index)))
  all.catch(() => {})
  return all
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = monotonicMs() + 10_000
  while (!await holds()) {
    assert(monotonicMs() < deadlineMs, `not within 10 s: ${what}`)
    await sleep(20)
  }
}

/** Runs with nodes that were added, and takes them away again. */
const withNodes = (count: number, run: (subject: BalancerSubject, ...nodes: TestNode[]) => Promise<void>) => async (subject: BalancerSubject) => {
  const nodes = await Promise.all(Array.from({ length: count }, () => TestNode.listen()))
  try {
    for (const { node } of nodes) await subject.balancer.add(node)
    await run(subject, ...nodes)
  } finally {
    for (const one of nodes) { one.end(); await subject.balancer.remove(one.node.name) }
  }
}

/** Asks until every node has answered, and has its whole share. */
async function untilAll({ url, slowStartMs }: BalancerSubject, nodes: readonly TestNode[]): Promise<void> {
  await sleep(slowStartMs)
  await eventually('every node is asked', async () => {
    await many(4, () => ask(`${url}/all`))
    return nodes.every(one => one.asked.length > 0)
  })
}

export const balancerSuite = suite<BalancerSubject>('balancer', {
  'a node gets requests as soon as it was added, and without one callers are refused with Retry-After': async subject => {
    const { status, headers } = await ask(`${subject.url}/nobody`)
    assert.equal(status, 503)
    assert.match(headers['retry-after'] ?? 'none', /^\d+$/)
    await withNodes(1, async ({ url }, only) => {
      assert.deepEqual([(await ask(`${url}/a`)).body, only!.asked.length], [only!.node.name, 1])
    })(subject)
  },
  'a name is used once': withNodes(1, async ({ balancer }, only) => {
    await assert.rejects(balancer.add(only!.node), { code: 'CONFLICT' })
    await assert.rejects(balancer.add({ ...only!.node, name: 'a b' }), { code: 'USAGE' })
  }),
  'what is balanced is the work under way': withNodes(2, async (subject, slow, fast) => {
    const { url } = subject
    await untilAll(subject, [slow!, fast!])
    slow!.inFlightMax = 0
    slow!.delayMs = 800
    fast!.delayMs = 10
    const deadlineMs = monotonicMs() + 1_200
    await Promise.all(Array.from({ length: 12 }, async () => { while (monotonicMs() < deadlineMs) await ask(`${url}/work`) }))
    // In turn, or at random, nearly all clients would come to wait for the slow one.
    assert.ok(slow!.inFlightMax > 0 && slow!.inFlightMax <= 7, `of 12 requests ${slow!.inFlightMax} were with the slow one at once`)
  }),
  'a node that drains finishes what it has and gets nothing new': withNodes(2, async (subject, leaving, staying) => {
    const { balancer, url } = subject
    await untilAll(subject, [leaving!, staying!])
    leaving!.delayMs = 300
    staying!.delayMs = 300
    const running = many(8, () => ask(`${url}/running`))
    await eventually('it works', async () => leaving!.inFlight > 0)
    const drained = balancer.drain(leaving!.node.name, 5_000)
    await sleep(100)
    const count = leaving!.asked.length
    await many(8, () => ask(`${url}/new`))
    await drained
    assert.deepEqual([leaving!.asked.length, leaving!.inFlight], [count, 0])
    assert.ok((await running).every(one => one.status === 200))
  }),
  'draining gives up after its grace': withNodes(2, async ({ balancer, url }, leaving) => {
    leaving!.delayMs = 1_500
    const running = many(4, () => ask(`${url}/running`))
    await eventually('it works', async () => leaving!.inFlight > 0)
    await assert.rejects(balancer.drain(leaving!.node.name, 100), { code: 'DEADLINE_EXCEEDED' })
    await running
  }),
  'what is not known is drained and removed without a word': async ({ balancer }) => {
    await balancer.drain('nobody', 100)
    await balancer.remove('nobody')
  },
  'a node that was removed is asked for nothing': withNodes(2, async (subject, gone, staying) => {
    const { balancer, url } = subject
    await untilAll(subject, [gone!, staying!])
    await balancer.remove(gone!.node.name)
    const count = gone!.asked.length
    assert.deepEqual(new Set((await many(12, () => ask(`${url}/after`))).map(one => one.body)), new Set([staying!.node.name]))
    assert.equal(gone!.asked.length, count)
    assert.deepEqual((await balancer.observe()).nodes.map(one => one.name), [staying!.node.name])
  }),
  'a node that ends without an answer loses nobody a request, and commands are repeated under one key': withNodes(2, async (subject, bad, good) => {
    const { url } = subject
    await untilAll(subject, [bad!, good!])
    bad!.behaves = 'hangs up'
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answers = await many(6, index => ask(`${url}/${method}${index}`, method))
      assert.deepEqual(answers.map(one => one.status), Array(6).fill(200), method)
    }
    const twice = [...Map.groupBy([...bad!.asked, ...good!.asked].filter(one => one.method === 'POST'), one => one.path).values()].filter(list => list.length > 1)
    for (const list of twice) assert.deepEqual([new Set(list.map(one => one.headers['idempotency-key'])).size, list[0]!.headers['idempotency-key'] !== undefined], [1, true])
    assert.ok(twice.length > 0, 'none was asked for twice')
  }),
  "a client's own key stays, and every request has one of its own otherwise": withNodes(1, async ({ url }, only) => {
    await ask(`${url}/own`, 'POST', { 'idempotency-key': 'mine' })
    await ask(`${url}/one`, 'POST')
    await ask(`${url}/two`, 'POST')
    await ask(`${url}/read`)
    const keys = only!.asked.map(one => one.headers['idempotency-key'])
    assert.deepEqual([keys[0], keys[3]], ['mine', undefined])
    assert.ok(keys[1] && keys[2] && keys[1] !== keys[2])
  }),
  'below a foreign prefix nothing is made repeatable, nor repeated unless it is a read': withNodes(2, async ({ url, foreignPrefix }, bad, good) => {
    bad!.behaves = 'hangs up'
    good!.behaves = 'hangs up'
    const { status } = await ask(`${url}${foreignPrefix}/pay`, 'POST')
    const asked = [...bad!.asked, ...good!.asked].filter(one => one.path === `${foreignPrefix}/pay`)
    assert.deepEqual([status, asked.length, asked[0]!.headers['idempotency-key']], [502, 1, undefined])
  }),
  'a node that cannot be reached loses nobody a request': withNodes(2, async (subject, gone, staying) => {
    const { url } = subject
    await untilAll(subject, [gone!, staying!])
    gone!.end()
    const answers = await many(30, index => ask(`${url}/${index}`, index % 2 ? 'POST' : 'GET'))
    assert.deepEqual(new Set(answers.map(one => one.body)), new Set([staying!.node.name]))
  }),
  'a node that fails far more often than the others gets nothing for a while, and is trusted again': withNodes(3, async (subject, bad, ...good) => {
    const { balancer, url, ejectMs } = subject
    await untilAll(subject, [bad!, ...good])
    bad!.behaves = 'fails'
    const stateOf = async () => (await balancer.observe()).nodes.find(one => one.name === bad!.node.name)!.state
    await eventually('it is ejected', async () => { await many(24, () => ask(`${url}/bad`)); return await stateOf() === 'ejected' })
    const count = bad!.asked.length
    await many(12, () => ask(`${url}/without`))
    assert.equal(bad!.asked.length, count)
    bad!.behaves = 'well'
    await sleep(ejectMs)
    await eventually('it is asked again', async () => { await many(8, () => ask(`${url}/again`)); return bad!.asked.length > count })
  }),
  'where all fail alike, none is taken away': withNodes(3, async (subject, ...all) => {
    const { balancer, url } = subject
    await untilAll(subject, all)
    for (const one of all) one.behaves = 'fails'
    for (let round = 0; round < 8; round++) { await many(30, () => ask(`${url}/alike`)); await sleep(50) }
    assert.deepEqual((await balancer.observe()).nodes.map(one => one.state), ['up', 'up', 'up'])
  }),
  'what no node has room for waits, and is refused with Retry-After when that takes too long': withNodes(1, async (subject, only) => {
    const { url, nodeRequestsMax } = subject
    await untilAll(subject, [only!])
    only!.delayMs = 100
    const fits = await many(nodeRequestsMax * 2, () => ask(`${url}/fits`))
    assert.deepEqual(new Set(fits.map(one => one.status)), new Set([200]))
    only!.delayMs = 1_500
    const refused = (await many(nodeRequestsMax * 3, () => ask(`${url}/too-many`))).filter(one => one.status === 503)
    assert.ok(refused.length > 0 && refused.every(one => one.headers['retry-after'] !== undefined), `${refused.length} were refused`)
    assert.ok(only!.asked.filter(one => one.path === '/too-many').length <= nodeRequestsMax * 2)
  }),
  'the last entry of X-Forwarded-For is the address of the client': withNodes(1, async ({ url }, only) => {
    await ask(`${url}/a`, 'GET', { 'x-forwarded-for': '203.0.113.7' })
    assert.equal(String(only!.asked[0]!.headers['x-forwarded-for']).split(/\s*,\s*/).at(-1), '127.0.0.1')
  }),
  'while the engine is away callers wait, and when it is back it knows every node': {
    fault: 'restart',
    run: withNodes(2, async (subject, one, other) => {
      const { balancer, url, kill } = subject
      await untilAll(subject, [one!, other!])
      kill()
      const late = await TestNode.listen()
      const added = balancer.add(late.node)
      const answers = await many(20, index => ask(`${url}/waited${index}`))
      await added
      assert.deepEqual(new Set(answers.map(answer => answer.status)), new Set([200]))
      await eventually('all three are known', async () => (await balancer.observe()).nodes.filter(node => node.state === 'up').length === 3)
      await balancer.remove(late.node.name)
      late.end()
    }),
  },
})
