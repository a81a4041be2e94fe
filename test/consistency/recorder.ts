/**
 * Random sessions against the register, written down as a history: each writes and reads
 * through any of several connections, and so through any node, cache and replica, with its token.
 */
import http from 'node:http'
import { limits } from '../../src/base/limits.ts'
import type { Random } from '../../src/base/random.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import type { Operation } from './history.ts'

export interface RecorderOptions {
  readonly url: string
  /** Decides what the sessions do; what happens at the same time is the machine's. */
  readonly random: Pick<Random, 'fraction'>
  readonly operations: number
  /** False is a negative control: what a session was given it does not show again. */
  readonly sendsTokens?: boolean
  /** Asked now and then; true ends it. */
  readonly isEnough?: (history: ReadonlyMap<string, readonly Operation[]>) => boolean
}

export interface Recorded { readonly history: ReadonlyMap<string, readonly Operation[]>; readonly operations: number; readonly failures: readonly string[]; readonly keptShare: number }

const sessions = 24
const connections = 8
const cells = Array.from({ length: 6 }, (_, index) => `cell-${index}`)
const operationsPerSession = 150
const lookEvery = 500
const patienceMs = 15_000
const retryMs = 100

interface Body { readonly cells?: readonly { readonly name: string; readonly version: number }[]; readonly name: string; readonly version: number }

export async function record({ url, random, operations, sendsTokens = true, isEnough }: RecorderOptions): Promise<Recorded> {
  const agents = Array.from({ length: connections }, () => new http.Agent({ keepAlive: true, maxSockets: 4 }))
  const history = new Map<string, Operation[]>()
  const failures: string[] = []
  let [done, kept, isOver] = [0, 0, false]
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.fraction() * list.length)]!
  const goesOn = () => done < operations && !isOver
  const session = async () => {
    const mine: Operation[] = []
    history.set(`session ${history.size}`, mine)
    let token: string | undefined
    let wroteAtMs = monotonicMs()
    for (let step = 0; step < operationsPerSession && goesOn(); step++) {
      done++
      const dice = random.fraction()
      // A session's first act is a write: without a token nothing is promised.
      const [kind, by, path] = mine.length === 0 || dice < 0.12 ? ['write', 'command', `/cells/${pick(cells)}`] as const
        : dice < 0.55 ? ['read', 'row', `/cells/${pick(cells)}`] as const : dice < 0.7 ? ['read', 'rows', '/cells'] as const : ['read', 'read model', `/mirror/${pick(cells)}`] as const
      const beganMs = monotonicMs()
      const reply = await send(url + path, kind === 'write' ? 'POST' : 'GET', pick(agents), sendsTokens ? token : undefined).catch((error: Error) => error.message)
      // On a busy machine a session may not have written for so long that its token no longer counts.
      const forgets = monotonicMs() - wroteAtMs >= limits.tokenLifeMs
      if (typeof reply === 'string' || reply.status !== 200) {
        failures.push(`${kind} by ${by}: ${typeof reply === 'string' ? reply : `${reply.status} ${reply.text.slice(0, 200)}`}`)
        await sleep(retryMs)
        continue
      }
      if (kind === 'write') wroteAtMs = beganMs
      if (reply.etag) kept++
      token = reply.token ?? token
      const body = JSON.parse(reply.text) as Body
      for (const [index, { name, version }] of (body.cells ?? [body]).entries()) mine.push({ kind, by, cell: name, version, forgets: forgets && index === 0 })
      if (isEnough && done % lookEvery === 0 && isEnough(history)) isOver = true
    }
  }
  await Promise.all(Array.from({ length: sessions }, async () => { while (goesOn()) await session() }))
  for (const agent of agents) agent.destroy()
  return { history, operations: done, failures, keptShare: kept / done }
}

interface Reply { readonly status: number; readonly text: string; readonly token: string | undefined; readonly etag: string | undefined }

function send(url: string, method: string, agent: http.Agent, token: string | undefined): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent, signal: AbortSignal.timeout(patienceMs), headers: { 'content-length': 0, ...token ? { 'tenfold-token': token } : {} } }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('error', reject).on('end', () => resolve({
        status: response.statusCode!, text, token: response.headers['tenfold-token'] as string | undefined, etag: response.headers.etag,
      }))
    })
    request.on('error', reject).end()
  })
}
