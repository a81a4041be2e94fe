/**
 * What the ingress costs: CPU microseconds per request against plain Fastify routes that
 * answer the same text, and with the whole runtime behind it (for information: nothing of
 * Fastify's corresponds to it). Interleaved rounds, medians.
 *
 *   node_modules/.bin/node bench/ingress.ts [--rounds 7] [--seconds 2] [--connections 32]
 */
import { parseArgs } from 'node:util'
import type { LoadRequest } from './load/load.ts'
import { startServer } from './process.ts'
import { runRounds } from './rounds.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '32' },
    contenders: { type: 'string', default: 'fastify,fastify async,ingress,runtime' },
  },
})

const requests: readonly LoadRequest[] = [
  { method: 'GET', path: '/things/1' },
  { method: 'POST', path: '/things', body: JSON.stringify({ name: 'a thing', tags: ['one', 'two'] }) },
]
const names = values.contenders.split(',')
const servers = await Promise.all(names.map(name => startServer(['bench/ingress-server.ts'], { CONTENDER: name, NODE_ENV: 'production' })))
try {
  for (const request of requests) {
    const contenders = servers.map((server, index) => ({ name: names[index]!, url: server.url, pid: server.pid, requests: [request] }))
    const figures = await runRounds(contenders, {
      rounds: Number(values.rounds), durationMs: Number(values.seconds) * 1_000, warmupMs: 300, connections: Number(values.connections), postgresPid: null,
    })
    const base = figures[0]!.appMicroseconds
    for (const [index, one] of figures.entries()) {
      if (Object.keys(one.byStatus).join() !== '200' || one.failures > 0) throw new Error(`${names[index]} answered ${JSON.stringify(one.byStatus)}, ${one.failures} failures`)
      const ratio = base && one.appMicroseconds ? (base / one.appMicroseconds).toFixed(2) : '–'
      process.stdout.write(`${request.method.padEnd(4)}  ${names[index]!.padEnd(14)} ${one.appMicroseconds?.toFixed(1) ?? '–'} µs  ${Math.round(one.requestsPerSecond)}/s  ratio ${ratio}\n`)
    }
  }
} finally {
  await Promise.all(servers.map(server => server.stop()))
}
