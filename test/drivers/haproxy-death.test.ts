/**
 * A node dies while another has only just been added, which is when HAProxy gives that one
 * little: the requests that were under way must not spend all their attempts on the dead one.
 *
 * Negative control: a node is given up after ten refused connections instead of one.
 */
import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { sleep } from '../../src/base/time.ts'
import { scratchHaproxy } from '../support/haproxy.ts'

const skip = skipWithout('haproxy')
const clients = 40

interface Server { readonly port: number; die(): void }

async function startServer(): Promise<Server> {
  const connections = new Set<Socket>()
  const server = http.createServer((request, response) => { setTimeout(() => response.end('well'), request.url === '/health' ? 0 : 30) })
  server.on('connection', connection => { connections.add(connection); connection.once('close', () => connections.delete(connection)) })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, die() { server.close(); for (const one of connections) one.destroy() } }
}

const ask = (port: number, agent: http.Agent): Promise<boolean> => new Promise(resolve => {
  http.get({ host: '127.0.0.1', port, path: '/', agent }, response => { response.resume().on('end', () => resolve(response.statusCode === 200)) }).on('error', () => resolve(false))
})

/** How many requests failed; after the first it is over. */
async function withDeaths(rounds: number, refusalsMax?: number): Promise<number> {
  const { balancer, close } = await scratchHaproxy({ nodeRequestsMax: 512, slowStartMs: 2_000, checkMs: 500, queueMs: 1_000, ...refusalsMax ? { refusalsMax } : {} })
  const agent = new http.Agent({ keepAlive: true })
  let failed = 0
  for (let round = 0; round < rounds && failed === 0; round++) {
    const [old, fresh] = [await startServer(), await startServer()]
    const add = async (name: string, { port }: Server) => { await balancer.add({ name: `${name}-${round}`, host: '127.0.0.1', port }) }
    await add('old', old)
    let isOver = false
    const load = Promise.all(Array.from({ length: clients }, async () => { while (!isOver) { if (!await ask(balancer.port, agent)) failed++; await sleep(10) } }))
    await sleep(2_500)
    await add('fresh', fresh)
    await sleep(100)
    old.die()
    await sleep(1_000)
    isOver = true
    await load
    await balancer.remove(`old-${round}`)
    await balancer.remove(`fresh-${round}`)
    fresh.die()
  }
  agent.destroy()
  await close()
  return failed
}

test('a death beside a node that was only just added fails no request', { skip }, async () => { assert.equal(await withDeaths(3), 0) })

test('negative control: a dead node that is asked ten times fails some', { skip }, async () => { assert.ok(await withDeaths(12, 10) > 0) })
