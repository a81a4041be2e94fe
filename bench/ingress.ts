/**
 * What the ingress costs: CPU microseconds per request against plain Fastify routes that
 * answer the same text, and with the whole runtime behind it (for information: nothing of
 * Fastify's corresponds to it). Many short turns, so that a busy machine disturbs the
 * contenders alike; medians, and the median of the ratios to the first of each turn.
 *
 *   node_modules/.bin/node bench/ingress.ts [--turns 60] [--requests 2000] [--connections 8]
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Connection } from '../src/load/connection.ts'

const { values } = parseArgs({
  options: {
    turns: { type: 'string', default: '60' },
    requests: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '8' },
    contenders: { type: 'string', default: 'fastify,fastify async,ingress,runtime' },
  },
})
const count = Number(values.requests)
const body = JSON.stringify({ name: 'a thing', tags: ['one', 'two'] })
const requests = {
  GET: Buffer.from('GET /things/1 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'),
  POST: Buffer.from(`POST /things HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
}

class Contender {
  readonly name: string
  readonly #child: ChildProcess
  readonly #connections: Connection[] = []
  #bytes: Buffer = requests.GET
  #toSend = 0
  #toCome = 0
  #done = () => {}

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
  }

  static async start(name: string): Promise<Contender> {
    const child = fork(fileURLToPath(new URL('./ingress-server.ts', import.meta.url)), { env: { ...process.env, CONTENDER: name, NODE_ENV: 'production' } })
    const [port] = await once(child, 'message') as [number]
    const contender = new Contender(name, child)
    for (let at = 0; at < Number(values.connections); at++) await contender.#connect(port)
    return contender
  }

  #connect(port: number): Promise<void> {
    return new Promise(resolve => {
      const connection = new Connection({ host: '127.0.0.1', port }, { ready: () => resolve(), answered: (one, status) => this.#answered(one, status), closed: () => { throw new Error(`${this.name} closed a connection`) } })
      this.#connections.push(connection)
      connection.open()
    })
  }

  #answered(connection: Connection, status: number | null): void {
    if (status !== 200) throw new Error(`${this.name} answered ${status}`)
    if (this.#toSend-- > 0) connection.send(this.#bytes)
    if (--this.#toCome === 0) this.#done()
  }

  async microsecondsPerRequest(bytes: Buffer): Promise<number> {
    const from = await this.#cpuMicroseconds()
    this.#bytes = bytes
    this.#toCome = count
    this.#toSend = count - this.#connections.length
    await new Promise<void>(resolve => {
      this.#done = resolve
      for (const connection of this.#connections) connection.send(bytes)
    })
    return (await this.#cpuMicroseconds() - from) / count
  }

  async #cpuMicroseconds(): Promise<number> {
    this.#child.send('cpu')
    const [{ user, system }] = await once(this.#child, 'message') as [NodeJS.CpuUsage]
    return user + system
  }

  stop(): void {
    for (const connection of this.#connections) connection.stop()
    this.#child.kill('SIGTERM')
  }
}

const median = (numbers: readonly number[]) => numbers.toSorted((one, other) => one - other)[numbers.length >> 1]!

async function measure(contenders: readonly Contender[], method: keyof typeof requests): Promise<void> {
  const turns: number[][] = []
  // The first turns warm the code.
  for (let turn = -5; turn < Number(values.turns); turn++) {
    const costs: number[] = []
    for (const contender of contenders) costs.push(await contender.microsecondsPerRequest(requests[method]))
    if (turn >= 0) turns.push(costs)
  }
  for (const [index, { name }] of contenders.entries()) {
    const cost = median(turns.map(costs => costs[index]!))
    const ratio = median(turns.map(costs => costs[0]! / costs[index]!))
    process.stdout.write(`${method.padEnd(5)} ${name.padEnd(14)} ${cost.toFixed(1).padStart(6)} µs   ${ratio.toFixed(2)}\n`)
  }
}

const contenders: Contender[] = []
try {
  for (const name of values.contenders.split(',')) contenders.push(await Contender.start(name))
  await measure(contenders, 'GET')
  await measure(contenders, 'POST')
} finally {
  for (const contender of contenders) contender.stop()
}
