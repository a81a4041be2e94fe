/**
 * Nodes far away: what they say and hear takes its time, and they reach the engines they were
 * told of and nothing else. Without a distance the same node answers at once and reaches all.
 */
import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { isTenfoldError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { randomHex } from '../../src/base/random.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { distanceOf } from '../../src/boot/distance.ts'
import { Distance } from '../../src/drivers/process/distance.ts'
import { openProcessOrchestrator } from '../../src/drivers/process/orchestrator.ts'
import type { Balancer, Node } from '../../src/ports/balancer.ts'

const delayMs = 60
const farNode = path.join(import.meta.dirname, '../fixtures/far-node.ts')
const skip = reasonNot()

function reasonNot(): string | false {
  try { new Distance({ scope: 'whether', delayMs: 0, ports: [] }); return false } catch (error) { return (error as Error).message }
}

async function engine(context: TestContext, text: string): Promise<number> {
  const server = http.createServer((_, response) => { response.end(text) }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  context.after(() => { server.closeAllConnections(); server.close() })
  return (server.address() as AddressInfo).port
}

/** Knows its nodes and does nothing with them. */
function recorder(): { readonly nodes: Map<string, Node>; readonly balancer: Balancer } {
  const nodes = new Map<string, Node>()
  const balancer = { open: async () => {}, close: async () => {}, add: async (node: Node) => { nodes.set(node.name, node) }, drain: async () => {}, remove: async (name: string) => { nodes.delete(name) }, observe: async () => ({ nodes: [], requests: 0, queued: 0, repeated: 0 }) }
  return { nodes, balancer }
}

async function run(context: TestContext, distance: Distance | null) {
  const { nodes, balancer } = recorder()
  const orchestrator = openProcessOrchestrator({ log: silentLogger, balancer, distance })
  context.after(() => orchestrator.stop(100))
  await orchestrator.apply([{ name: 'web', replicas: 1, isBalanced: true, command: [farNode], env: { TENFOLD_PORT: '0' } }])
  const ask = async (what: string | number) => {
    const [node] = nodes.values()
    const fromMs = monotonicMs()
    const answer = await fetch(`http://127.0.0.1:${node!.port}/${what}`, { headers: { connection: 'close' } })
    return { status: answer.status, text: await answer.text(), ms: monotonicMs() - fromMs }
  }
  return { orchestrator, nodes, ask }
}

const namespaces = (scope: string[]) => spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout.split('\n').filter(line => !scope.includes(line))

test('a node that is far away answers late, and reaches its engines only', { skip, timeout: 60_000 }, async context => {
  const [told, untold] = [await engine(context, 'told'), await engine(context, 'untold')]
  const before = namespaces([])
  const { orchestrator, nodes, ask } = await run(context, new Distance({ scope: randomHex(8), delayMs, ports: [told] }))
  const check = async () => {
    const near = await ask('')
    assert.deepEqual([near.status, near.text], [200, 'here'])
    assert.ok(near.ms >= 2 * delayMs, `answered after ${near.ms} ms`)
    const far = await ask(told)
    assert.deepEqual([far.status, far.text], [200, 'told'])
    assert.ok(far.ms >= 4 * delayMs, `answered after ${far.ms} ms`)
    assert.deepEqual(await ask(untold).then(({ status, text }) => [status, text]), [502, 'ECONNREFUSED'])
  }
  await check()
  const [first] = nodes.keys()
  process.kill(orchestrator.observe()[0]!.pid!, 'SIGKILL')
  while (nodes.size === 0 || nodes.has(first!)) await sleep(5)
  await check()
  await orchestrator.stop(1_000)
  assert.deepEqual(namespaces(before).filter(line => line !== ''), [], 'a namespace is left')
})

test('negative control: without a distance it answers at once and reaches everything', async context => {
  const other = await engine(context, 'other')
  const { ask } = await run(context, null)
  const answers = [await ask(other), await ask(other), await ask(other)]
  assert.deepEqual(answers.map(({ text }) => text), ['other', 'other', 'other'])
  assert.ok(Math.min(...answers.map(({ ms }) => ms)) < 4 * delayMs)
})

test('the environment says how far, and what makes no sense is refused', { skip }, context => {
  const set = (text?: string) => { if (text === undefined) delete process.env.TENFOLD_NODE_DELAY_MS; else process.env.TENFOLD_NODE_DELAY_MS = text }
  context.after(() => set())
  const of = (...urls: string[]) => distanceOf({ dataFolder: 'none', urls })
  assert.equal(of(), null)
  set('soon')
  assert.throws(() => of(), error => isTenfoldError(error) && error.code === 'USAGE' && /'soon': set it to milliseconds/.test(error.message))
  set('20')
  assert.ok(of('postgres://a:b@127.0.0.1:1/c?members=127.0.0.1%3A1%2C127.0.0.1%3A2', 'nats://a:b@127.0.0.1:3,nats://a:b@127.0.0.1:4') instanceof Distance)
  assert.throws(() => of('postgres://a:b@db.example:5432/c'), error => isTenfoldError(error) && error.code === 'NOT_SUPPORTED' && /db\.example is not here/.test(error.message))
})
