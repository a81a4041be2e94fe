/**
 * Sets the clock of one process of a deployment while it runs, through Node's inspector: what
 * `Date` says is off from then on, the monotonic clock is not, as when a machine's wall clock is set.
 * The deployment runs with `inspectable`, so that each process opens a port of its own when it is signalled.
 */
import assert from 'node:assert/strict'
import { sleep } from '../../src/base/time.ts'
import type { Site } from './site.ts'

export const inspectable = { NODE_OPTIONS: '--inspect-port=0' } as const

const setting = (offsetMs: number) => `(() => {
  const Real = globalThis.RealDate ??= Date
  if (${offsetMs} === 0) { globalThis.Date = Real; return Date.now() - Real.now() }
  globalThis.Date = class extends Real {
    constructor(...given) { if (given.length === 0) super(Real.now() + ${offsetMs}); else super(...given) }
    static now() { return Real.now() + ${offsetMs} }
  }
  return Date.now() - Real.now()
})()`

/** The addresses of inspectors that were said in the output so far. */
const inspectorsIn = (output: string): readonly string[] => [...output.matchAll(/Debugger listening on (ws:\/\/127\.0\.0\.1:\d+\/[\w-]+)/g)].map(match => match[1]!)

/** By process: one that has opened its inspector keeps it open. */
const inspectors = new Map<number, string>()

async function inspectorOf(site: Site, pid: number): Promise<string> {
  const known = inspectorsIn(site.deployment.output()).length
  process.kill(pid, 'SIGUSR1')
  for (let tries = 0; tries < 500; tries++) {
    await sleep(20)
    const address = inspectorsIn(site.deployment.output())[known]
    if (address) return address
  }
  return assert.fail('the process opens no inspector')
}

/** Resolves when the process's wall clock is off by so much; the returned function sets it right. */
export async function setClock(site: Site, pid: number, offsetMs: number): Promise<() => Promise<void>> {
  const address = inspectors.get(pid) ?? await inspectorOf(site, pid)
  inspectors.set(pid, address)
  const socket = new WebSocket(address)
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject })
  let calls = 0
  const evaluate = (expression: string) => new Promise<number>((resolve, reject) => {
    const id = ++calls
    socket.addEventListener('message', event => {
      const heard = JSON.parse(String(event.data)) as { id?: number; result?: { result?: { value?: number } } }
      if (heard.id !== id) return
      const value = heard.result?.result?.value
      if (value === undefined) reject(new Error(`the clock could not be set: ${String(event.data)}`))
      else resolve(value)
    })
    socket.send(JSON.stringify({ id, method: 'Runtime.evaluate', params: { expression } }))
  })
  assert.ok(Math.abs(await evaluate(setting(offsetMs)) - offsetMs) < 1_000)
  return async () => {
    await evaluate(setting(0))
    socket.close()
  }
}
