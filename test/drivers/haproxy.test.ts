/** HAProxy's configuration as reviewed, which nodes are outliers, and an engine that was left behind. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { silentLogger } from '../../src/base/log.ts'
import { HaproxyBalancer } from '../../src/drivers/haproxy/balancer.ts'
import { renderConfiguration } from '../../src/drivers/haproxy/configuration.ts'
import { outliers } from '../../src/drivers/haproxy/outlier.ts'
import { isAlive } from '../support/liveness.ts'

const skip = skipWithout('haproxy')

test('the rendered configuration is the one that was reviewed (UPDATE_GOLDEN=1 writes it)', () => {
  const file = path.join(import.meta.dirname, '..', 'fixtures', 'haproxy.cfg')
  const text = renderConfiguration({
    commandSocket: 'command', foreignPrefixes: ['/legacy', '/old'], nodeRequestsMax: 512, queueMs: 1_000, checkMs: 500, slowStartMs: 2_000, refusalsMax: 1, threads: 2,
    nodes: [{ name: 'web-0-41', host: '127.0.0.1', port: 7_001 }, { name: 'web-1-42', host: '10.0.0.2', port: 7_002 }],
  })
  if (process.env.UPDATE_GOLDEN) writeFileSync(file, text)
  assert.equal(text, readFileSync(file, 'utf8'))
})

test('an outlier fails far more often than the median of the others, and a third of the nodes at most is one', () => {
  const node = (name: string, failures: number, requests = 100, isEjected = false) => ({ name, failures, requests, isEjected })
  assert.deepEqual(outliers([node('a', 50), node('b', 1), node('c', 0)]), ['a'])
  assert.deepEqual(outliers([node('a', 50), node('b', 50), node('c', 48)]), [], 'all alike')
  assert.deepEqual(outliers([node('a', 19), node('b', 0), node('c', 0)]), [], 'not enough')
  assert.deepEqual(outliers([node('a', 10, 19), node('b', 0), node('c', 0)]), [], 'too few requests to say')
  assert.deepEqual(outliers([node('a', 100), node('b', 0)]), [], 'a third of two is none')
  assert.deepEqual(outliers([node('a', 100)]), [], 'alone')
  assert.deepEqual(outliers([node('a', 60), node('b', 90), node('c', 0), node('d', 0), node('e', 0)]), ['b'], 'the worst, as far as there is room')
  assert.deepEqual(outliers([node('a', 60), node('b', 0, 0, true), node('c', 0), node('d', 0)]), [], 'another one is ejected already')
})

test('a port that is taken is named', { skip }, async () => {
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-haproxy-'))
  const options = { host: '127.0.0.1', port: 0, dataFolder, log: silentLogger }
  const first = new HaproxyBalancer(options)
  await first.open()
  try {
    const second = await mkdtemp(path.join(os.tmpdir(), 'tenfold-haproxy-'))
    await assert.rejects(new HaproxyBalancer({ ...options, dataFolder: second, port: first.port }).open(), { code: 'USAGE', message: new RegExp(String(first.port)) })
    await rm(second, { recursive: true })
  } finally {
    await first.close(100)
    await rm(dataFolder, { recursive: true, force: true })
  }
})

test('one whose supervisor was killed is ended by the next start, on the same port', { skip }, async () => {
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-haproxy-'))
  const supervisor = spawn(process.execPath, [path.join(import.meta.dirname, '..', 'fixtures', 'haproxy-supervisor.ts'), dataFolder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(supervisor.stdout, 'data') as [Buffer]
  const { pid, port } = JSON.parse(String(line)) as { pid: number; port: number }
  supervisor.kill('SIGKILL')
  await once(supervisor, 'exit')
  assert.ok(isAlive(pid))
  const next = new HaproxyBalancer({ host: '127.0.0.1', port, dataFolder, log: silentLogger })
  try {
    await next.open()
    assert.deepEqual([isAlive(pid), (await next.observe()).nodes], [false, []])
  } finally {
    await next.close(100)
    await rm(dataFolder, { recursive: true, force: true })
  }
})
