/**
 * Random sessions against the register: each writes and reads through any of several
 * connections, and so through any process, carrying its token; and says when it was shown
 * something older than what it had written or read.
 */
import http from 'node:http'
import { limits } from '../../src/base/limits.ts'
import type { Random } from '../../src/base/random.ts'
import { monotonicMs } from '../../src/base/time.ts'

export interface SessionsOptions {
  readonly url: string
  /** Decides what the sessions do; what happens at the same time is the machine's. */
  readonly random: Pick<Random, 'fraction'>
  readonly operations: number
  /** Stops early once something old was shown. */
  readonly untilViolation?: boolean
}

export interface Outcome { readonly operations: number; readonly violations: readonly string[]; readonly failures: readonly string[]; readonly keptShare: number }

const sessions = 24
const connections = 8
const cells = Array.from({ length: 6 }, (_, index) => `cell-${index}`)
const operationsPerSession = 150

type Body = { readonly name: string; readonly version: number } | { readonly cells: readonly { readonly name: string; readonly version: number }[] }

export async function runSessions({ url, random, operations, untilViolation = false }: SessionsOptions): Promise<Outcome> {
  const agents = Array.from({ length: connections }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }))
  const violations: string[] = []
  const failures: string[] = []
  let done = 0
  let kept = 0
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.fraction() * list.length)]!
  const session = async () => {
    let token: string | undefined
    let seen = new Map<string, number>()
    let wroteAtMs = monotonicMs()
    for (let step = 0; step < operationsPerSession && done < operations && !(untilViolation && violations.length > 0); step++) {
      done++
      const dice = random.fraction()
      // A session's first act is a write: without a token nothing is promised.
      const [method, path] = token === undefined || dice < 0.12 ? ['POST', `/cells/${pick(cells)}`]
        : dice < 0.55 ? ['GET', `/cells/${pick(cells)}`] : dice < 0.7 ? ['GET', '/cells'] : ['GET', `/mirror/${pick(cells)}`]
      // On a busy machine a session may not have written for so long that its token no longer counts.
      const forgetWhenOver = () => { if (monotonicMs() - wroteAtMs >= limits.tokenLifeMs) seen = new Map() }
      forgetWhenOver()
      if (method === 'POST') wroteAtMs = monotonicMs()
      const reply = await send(`${url}${path}`, method!, pick(agents), token)
      forgetWhenOver()
      if (reply.status !== 200) { failures.push(`${method} ${path}: ${reply.status} ${reply.text}`); continue }
      if (reply.etag) kept++
      token = reply.token ?? token
      const body = JSON.parse(reply.text) as Body
      for (const { name, version } of 'cells' in body ? body.cells : [body]) {
        const known = seen.get(name) ?? 0
        if (version < known) violations.push(`${method} ${path} showed version ${version} of ${name} after ${known}`)
        seen.set(name, Math.max(known, version))
      }
    }
  }
  const lane = async () => { while (done < operations && !(untilViolation && violations.length > 0)) await session() }
  await Promise.all(Array.from({ length: sessions }, lane))
  for (const agent of agents) agent.destroy()
  return { operations: done, violations, failures, keptShare: kept / done }
}

interface Reply { readonly status: number; readonly text: string; readonly token: string | undefined; readonly etag: string | undefined }

function send(url: string, method: string, agent: http.Agent, token: string | undefined): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent, headers: token ? { 'tenfold-token': token } : {} }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('end', () => resolve({
        status: response.statusCode!, text, token: response.headers['tenfold-token'] as string | undefined, etag: response.headers.etag,
      }))
    })
    request.on('error', reject).end()
  })
}
