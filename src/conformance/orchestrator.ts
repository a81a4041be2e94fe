/** What every orchestrator must keep: src/ports/orchestrator.ts, checked against real processes. */
import assert from 'node:assert/strict'
import http from 'node:http'
import { isTenfoldError } from '../base/errors.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Orchestrator, ProcessSpec, ProcessState } from '../ports/orchestrator.ts'
import { suite } from './check.ts'

export interface SpecOptions {
  readonly replicas?: number
  /** `never-ready` ends at once saying 'told why', `crashes` ends soon after it is ready, `stubborn` ignores a graceful stop and questions. */
  readonly behaviour?: 'well' | 'never-ready' | 'crashes' | 'stubborn'
  /** Makes the spec a different one. */
  readonly version?: string
  /** GET / answers the process id, GET /slow does so after 300 ms, both closing the connection. */
  readonly listen?: { readonly host: string; readonly port: number }
}

export interface OrchestratorSubject {
  readonly orchestrator: Orchestrator
  spec(name: string, options?: SpecOptions): ProcessSpec
  /** Ends a process without warning. */
  kill(pid: number): void
  isAlive(pid: number): boolean
  freePort(): Promise<number>
}

/** Beyond what the first start took: a machine may be slow, a pause is something else. */
const promptMs = 1_000
const patienceMs = 10_000
const graceMs = 3_000
const shortGraceMs = 200

async function until(what: string, holds: () => boolean, withinMs = patienceMs): Promise<void> {
  const deadlineMs = monotonicMs() + withinMs
  while (!holds()) {
    assert(monotonicMs() < deadlineMs, `not within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}

function pidsOf(orchestrator: Orchestrator, name: string): number[] {
  return statesOf(orchestrator, name).map(one => one.pid).filter(pid => pid !== null)
}

function statesOf(orchestrator: Orchestrator, name: string): ProcessState[] {
  return orchestrator.observe().filter(one => one.name === name && one.state !== 'draining').sort((a, b) => a.replica - b.replica)
}

function get(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('end', () => resolve(text)).on('error', reject)
    }).on('error', reject)
  })
}

/** Kills the only process of the name and waits for its successor. */
async function replace({ orchestrator, kill }: OrchestratorSubject, name: string, withinMs?: number): Promise<void> {
  const [before] = pidsOf(orchestrator, name)
  kill(before!)
  await until('a new process is ready', () => statesOf(orchestrator, name).some(one => one.state === 'ready' && one.pid !== before), withinMs)
}

export const orchestratorSuite = suite<OrchestratorSubject>('orchestrator', {
  'apply resolves when every wanted process is ready': async ({ orchestrator, spec, isAlive }) => {
    await orchestrator.apply([spec('web', { replicas: 2 }), spec('worker')])
    const states = orchestrator.observe()
    assert.deepEqual(states.map(one => `${one.name} ${one.replica} ${one.state}`).sort(), ['web 0 ready', 'web 1 ready', 'worker 0 ready'])
    assert(states.every(one => one.pid !== null && isAlive(one.pid) && one.restarts === 0 && one.startedAtMs > 0))
  },

  'ask collects the answers of the ready processes, and leaves out the silent': async ({ orchestrator, spec }) => {
    await orchestrator.apply([spec('web', { replicas: 2 }), spec('mute', { behaviour: 'stubborn' })])
    const both = await Promise.all([orchestrator.ask('statistics'), orchestrator.ask('flush-cache')])
    for (const answers of both) {
      assert.deepEqual(answers.map(one => `${one.name} ${one.replica}`).sort(), ['web 0', 'web 1'])
      assert.deepEqual(answers.map(one => one.answer).sort(), pidsOf(orchestrator, 'web').sort())
    }
    const echoes = await orchestrator.ask('traces', { deep: [1, null] })
    assert.deepEqual(echoes.map(one => one.answer), [{ deep: [1, null] }, { deep: [1, null] }], 'the payload reaches every process')
  },

  'apply is idempotent': async ({ orchestrator, spec }) => {
    await orchestrator.apply([spec('web', { replicas: 2 })])
    const before = pidsOf(orchestrator, 'web')
    await orchestrator.apply([spec('web', { replicas: 2 })])
    await Promise.all([orchestrator.apply([spec('web', { replicas: 2 })]), orchestrator.apply([spec('web', { replicas: 2 })])])
    assert.deepEqual(pidsOf(orchestrator, 'web'), before)
  },

  'apply starts what is missing and stops what is no longer wanted': async ({ orchestrator, spec, isAlive }) => {
    await orchestrator.apply([spec('web'), spec('worker')])
    const [web] = pidsOf(orchestrator, 'web')
    const [worker] = pidsOf(orchestrator, 'worker')
    await orchestrator.apply([spec('web', { replicas: 2 })])
    assert.equal(pidsOf(orchestrator, 'web')[0], web)
    assert.equal(pidsOf(orchestrator, 'web').length, 2)
    assert(!isAlive(worker!))
    await orchestrator.apply([spec('web')])
    assert.deepEqual(pidsOf(orchestrator, 'web'), [web])
  },

  'a changed spec replaces the process': async ({ orchestrator, spec, isAlive }) => {
    await orchestrator.apply([spec('web', { version: '1' })])
    const [before] = pidsOf(orchestrator, 'web')
    await orchestrator.apply([spec('web', { version: '2' })])
    assert(!isAlive(before!))
    assert.deepEqual(statesOf(orchestrator, 'web').map(one => one.state), ['ready'])
  },

  'a changed spec is rolled one process at a time, the new one ready before the old one goes': async ({ orchestrator, spec }) => {
    await orchestrator.apply([spec('web', { replicas: 3, version: '1' })])
    const before = pidsOf(orchestrator, 'web')
    const applying = orchestrator.apply([spec('web', { replicas: 3, version: '2' })])
    let rolling = true
    void applying.finally(() => { rolling = false }).catch(() => {})
    while (rolling) {
      const states = orchestrator.observe()
      const [ready, living] = [states.filter(one => one.state === 'ready').length, states.filter(one => one.pid !== null).length]
      assert(ready >= 3 && living <= 4, `${ready} are ready and ${living} live`)
      await sleep(2)
    }
    await applying
    assert(statesOf(orchestrator, 'web').length === 3 && pidsOf(orchestrator, 'web').every(pid => !before.includes(pid)))
  },

  'a changed spec that never becomes ready is given up, and what ran goes on': async ({ orchestrator, spec, isAlive }) => {
    await orchestrator.apply([spec('web', { replicas: 2 })])
    const before = pidsOf(orchestrator, 'web')
    await assert.rejects(orchestrator.apply([spec('web', { replicas: 2, behaviour: 'never-ready' })]), /web.*told why/)
    assert.deepEqual(orchestrator.observe().map(one => one.pid).sort(), [...before].sort())
    assert(before.every(isAlive))
    await orchestrator.apply([spec('web', { replicas: 2, version: 'mended' })])
    assert.deepEqual(statesOf(orchestrator, 'web').map(one => one.state), ['ready', 'ready'])
    assert(!before.some(isAlive))
  },

  'a process that ends unasked is started again promptly, its siblings are left alone': async subject => {
    const { orchestrator, spec } = subject
    const startedMs = monotonicMs()
    await orchestrator.apply([spec('web'), spec('worker')])
    const startMs = monotonicMs() - startedMs
    const worker = pidsOf(orchestrator, 'worker')
    await replace(subject, 'web', promptMs + startMs * 3)
    assert.equal(statesOf(orchestrator, 'web')[0]?.restarts, 1)
    assert.deepEqual(pidsOf(orchestrator, 'worker'), worker)
  },

  'a process that keeps ending is started after a growing backoff': async ({ orchestrator, spec }) => {
    await orchestrator.apply([spec('web', { behaviour: 'crashes' })])
    let sinceMs: number | null = null
    await until('a pause of more than 100 ms', () => {
      const backingOff = statesOf(orchestrator, 'web')[0]?.state === 'backing-off'
      sinceMs = backingOff ? sinceMs ?? monotonicMs() : null
      return sinceMs !== null && monotonicMs() - sinceMs > 100
    })
    const { restarts } = statesOf(orchestrator, 'web')[0]!
    await until('it is started again', () => (statesOf(orchestrator, 'web')[0]?.restarts ?? 0) > restarts)
  },

  'apply rejects when a process never becomes ready, and the others stay': async ({ orchestrator, spec }) => {
    await orchestrator.apply([spec('web')])
    const before = pidsOf(orchestrator, 'web')
    await assert.rejects(orchestrator.apply([spec('web'), spec('worker', { behaviour: 'never-ready' })]), /worker/)
    assert.deepEqual(pidsOf(orchestrator, 'web'), before)
    await orchestrator.apply([spec('web'), spec('worker')])
    assert.deepEqual(statesOf(orchestrator, 'worker').map(one => one.state), ['ready'])
  },

  'stop ends everything, however often it is called': async ({ orchestrator, spec, isAlive }) => {
    await orchestrator.apply([spec('web', { replicas: 2 })])
    const pids = pidsOf(orchestrator, 'web')
    await Promise.all([orchestrator.stop(graceMs), orchestrator.stop(graceMs)])
    assert(pids.every(pid => !isAlive(pid)))
    assert.deepEqual(orchestrator.observe().filter(one => one.pid !== null), [])
  },

  'stop while processes start leaves none behind': async ({ orchestrator, spec }) => {
    const applying = orchestrator.apply([spec('web', { replicas: 2 })])
    applying.catch(() => {})
    await until('a process starts', () => orchestrator.observe().length > 0)
    await orchestrator.stop(shortGraceMs)
    await assert.rejects(applying)
    assert.deepEqual(orchestrator.observe().filter(one => one.pid !== null), [])
  },

  'stop kills what does not end within its grace': async ({ orchestrator, spec, isAlive }) => {
    await orchestrator.apply([spec('web', { behaviour: 'stubborn' })])
    const [pid] = pidsOf(orchestrator, 'web')
    const startMs = monotonicMs()
    await orchestrator.stop(shortGraceMs)
    assert(monotonicMs() - startMs >= shortGraceMs)
    assert(!isAlive(pid!))
  },

  'replicas share one port, in turn': { needs: 'listen', async run({ orchestrator, spec, freePort }) {
    const port = await freePort()
    await orchestrator.apply([spec('web', { replicas: 2, listen: { host: '127.0.0.1', port } })])
    const answers = await Promise.all(Array.from({ length: 40 }, () => get(port)))
    for (const pid of pidsOf(orchestrator, 'web')) assert(answers.filter(one => one === String(pid)).length >= 15, `${answers.join(' ')}`)
  } },

  'callers wait while the only process is started again': { needs: 'listen', async run(subject) {
    const { orchestrator, spec, freePort } = subject
    const port = await freePort()
    await orchestrator.apply([spec('web', { listen: { host: '127.0.0.1', port } })])
    const [before] = pidsOf(orchestrator, 'web')
    subject.kill(before!)
    await until('it is gone', () => !subject.isAlive(before!))
    assert.notEqual(await get(port), String(before))
  } },

  'no call fails while a changed spec is rolled': { needs: 'listen', async run({ orchestrator, spec, freePort }) {
    const listen = { host: '127.0.0.1', port: await freePort() }
    await orchestrator.apply([spec('web', { version: '1', listen })])
    let rolling = true
    const callers = [1, 2, 3, 4].map(async () => { while (rolling) await get(listen.port) })
    await orchestrator.apply([spec('web', { version: '2', listen })])
    rolling = false
    await Promise.all(callers)
  } },

  'stop lets a running request finish': { needs: 'listen', async run({ orchestrator, spec, freePort }) {
    const port = await freePort()
    await orchestrator.apply([spec('web', { listen: { host: '127.0.0.1', port } })])
    const [pid] = pidsOf(orchestrator, 'web')
    const answer = get(port, '/slow')
    await sleep(100)
    await orchestrator.stop(graceMs)
    assert.equal(await answer, String(pid))
    await assert.rejects(get(port), /ECONNREFUSED/)
  } },

  'a port that is taken is refused, naming it': { needs: 'listen', async run({ orchestrator, spec, freePort }) {
    const port = await freePort()
    const other = http.createServer()
    await new Promise<void>(resolve => other.listen(port, '127.0.0.1', resolve))
    try {
      await assert.rejects(orchestrator.apply([spec('web', { listen: { host: '127.0.0.1', port } })]),
        (error: unknown) => {
          if (isTenfoldError(error) && error.code === 'USAGE' && error.message.includes(String(port))) return true
          throw error
        })
    } finally { await new Promise(resolve => other.close(resolve)) }
  } },
})
