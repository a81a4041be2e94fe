/**
 * The servers of NATS as children. Their ports are chosen a moment before they are bound: one that
 * somebody takes in between must not leave a cluster of two that looks started, in which no stream
 * of three copies can be made.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { skipWithout } from '../../scripts/engines.ts'
import { findProgram } from '../../src/base/daemon.ts'
import { silentLogger } from '../../src/base/log.ts'
import { startNatsServers } from '../../src/drivers/nats/server.ts'
import { until } from '../../src/conformance/bus-recorder.ts'

const skip = skipWithout('nats')

/** A nats-server before which somebody takes a port of its configuration, the first `times` times it is started. */
async function withThief(t: TestContext, times: number, line: 'first' | 'last'): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-nats-'))
  const program = findProgram('nats-server', [])
  const script = `#!/bin/sh
times=$(cat '${folder}/times')
if [ "$1" = -c ] && [ "$times" -gt 0 ] && mkdir "${folder}/thief.$times" 2>/dev/null; then
  echo $((times - 1)) > '${folder}/times'
  port=$(sed -n 's/^ *listen: "127.0.0.1:\\([0-9]*\\)"/\\1/p' "$2" | ${line === 'last' ? 'tail' : 'head'} -n 1)
  '${process.execPath}' -e "
    require('net').createServer().listen($port, '127.0.0.1', () => require('fs').writeFileSync('${folder}/listens.$times', ''))
    setInterval(() => require('fs').existsSync('${folder}/times') || process.exit(), 200)" > /dev/null 2>&1 &
  while [ ! -e "${folder}/listens.$times" ]; do sleep 0.02; done
fi
exec '${program}' "$@"
`
  await writeFile(path.join(folder, 'nats-server'), script, { mode: 0o755 })
  await writeFile(path.join(folder, 'times'), String(times))
  const { PATH } = process.env
  process.env.PATH = `${folder}:${PATH}`
  t.after(async () => {
    process.env.PATH = PATH
    await rm(folder, { recursive: true, force: true })
  })
  return folder
}

async function dataFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-nats-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

for (const line of ['first', 'last'] as const) test(`a port for ${line === 'first' ? 'clients' : 'routes'} that is taken before it is bound: other ports, and all three are there`, { skip, timeout: 60_000 }, async t => {
  const thief = await withThief(t, 1, line)
  const servers = await startNatsServers({ dataFolder: await dataFolder(t), secret: Buffer.from('test'), nodes: 3, log: silentLogger })
  t.after(() => servers.stop())
  assert.equal((await readFile(path.join(thief, 'times'), 'utf8')).trim(), '0', 'somebody was faster')
  const { username, password } = new URL(servers.url.split(',')[0]!)
  const connection = await connect({ servers: servers.ports.map(port => `127.0.0.1:${port}`), user: username, pass: password })
  t.after(() => connection.close())
  const manager = await jetstreamManager(connection, { checkAPI: false })
  await until('a stream of three copies', () => manager.streams.add({ name: 'three', subjects: ['three'], num_replicas: 3 }).then(() => true, () => false), 30_000)
})

test('negative control: ports that are always taken end the start, which tells why', { skip, timeout: 60_000 }, async t => {
  await withThief(t, 100, 'last')
  await assert.rejects(startNatsServers({ dataFolder: await dataFolder(t), secret: Buffer.from('test'), nodes: 3, log: silentLogger }), /NATS \d did not start: [^]*address already in use/)
})
