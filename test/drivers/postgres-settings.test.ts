/** The settings of the embedded server on a table of machines, and on the real server. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { app } from '../../examples/conduit/app.ts'
import topology from '../../examples/conduit/topologies/1-monolith.ts'
import { isTenfoldError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import type { Logger } from '../../src/base/log.ts'
import { poolSizesFor } from '../../src/boot/pools.ts'
import { startPostgresServer } from '../../src/drivers/postgres/server.ts'
import { connectionsOf, machineHere, poolSizes, serverSettings } from '../../src/drivers/postgres/server-settings.ts'
import type { Machine } from '../../src/drivers/postgres/server-settings.ts'
import { scratchPostgres } from '../support/postgres.ts'

const gibi = 1024 ** 3
const units: Readonly<Record<string, number>> = { B: 1, kB: 1024, MB: 1024 ** 2, GB: gibi }
const sized = /^(\d+)(kB|MB|GB|B)$/
const bytesOf = (text: string) => {
  const [, number, unit] = sized.exec(text)!
  return Number(number) * units[unit!]!
}

const machines: readonly Machine[] = [0.5, 1, 2, 4, 8, 24, 64, 256].flatMap(gigabytes =>
  [1, 2, 8, 64].flatMap(cores => [1, cores + 1].map(processes => ({ memoryBytes: gigabytes * gibi, cores, processes, tuned: true }))))

test('on every machine the server leaves room, and grows with it', () => {
  for (const machine of machines) {
    const about = JSON.stringify(machine)
    const settings = serverSettings(machine)
    const connections = Number(settings.max_connections)
    const shared = bytesOf(settings.shared_buffers!)
    assert.ok(shared <= machine.memoryBytes / 4, about)
    assert.ok(bytesOf(settings.effective_cache_size!) < machine.memoryBytes, about)
    // The least work_mem Postgres is usable with may exceed its share on the smallest machines.
    assert.ok(bytesOf(settings.work_mem!) <= Math.max(4 * units.MB!, machine.memoryBytes / 2 / connections), about)
    assert.ok(connections >= 56 && connections <= Math.max(800, 16 + (machine.processes + 1) * 32), about)
    assert.equal(settings.fsync, 'on', about)
  }
  const sharedOf = (memoryBytes: number) => bytesOf(serverSettings({ memoryBytes, cores: 8, processes: 9, tuned: true }).shared_buffers!)
  assert.ok(sharedOf(4 * gibi) > sharedOf(2 * gibi) && sharedOf(64 * gibi) > sharedOf(4 * gibi))
})

test('known machines', () => {
  const pick = (memory: number, cores: number, processes: number) => {
    const { shared_buffers, effective_cache_size, work_mem, maintenance_work_mem, max_connections } = serverSettings({ memoryBytes: memory * gibi, cores, processes, tuned: true })
    return [shared_buffers, effective_cache_size, work_mem, maintenance_work_mem, max_connections].join(' ')
  }
  assert.equal(pick(1, 1, 2), '128MB 358MB 4MB 64MB 56')
  assert.equal(pick(4, 2, 3), '832MB 2329MB 6MB 208MB 208')
  assert.equal(pick(16, 4, 5), '3776MB 10572MB 16MB 944MB 336')
  assert.equal(pick(64, 16, 17), '15296MB 42828MB 28MB 1024MB 800')
})

test('a process for each of many cores fits where there is memory for them', () => {
  for (const cores of [32, 48, 64, 96, 192]) {
    const processes = cores + 1
    const maxConnections = Number(serverSettings({ memoryBytes: 2 * cores * gibi, cores, processes, tuned: true }).max_connections)
    // Conduit's services and consumers, and one process more during a restart.
    const { readersMax, writersMax } = poolSizes({ maxConnections, processes: processes + 1, workers: 2, services: 5, consumers: 12 })
    assert.ok(readersMax >= 1 && writersMax >= 2, `${cores} cores: ${maxConnections} connections, ${readersMax} and ${writersMax}`)
  }
})

test('a small server is the same on every machine', () => {
  const [first, ...others] = machines.map(machine => serverSettings({ ...machine, tuned: false }))
  for (const other of others) assert.deepEqual(other, first)
  assert.equal(first!.shared_buffers, '64MB')
})

test('all pools of all processes and the reserve fit into max_connections, or are refused', () => {
  let refused = 0
  for (const maxConnections of [56, 120, 208, 500, 800]) for (const processes of [1, 2, 3, 9, 17]) for (const services of [1, 5, 20]) for (const consumers of [0, 7, 40]) for (const workers of [1, processes]) {
    const demand = { maxConnections, processes, workers, services, consumers }
    try {
      const sizes = poolSizes(demand)
      assert.ok(sizes.readersMax >= 1 && sizes.writersMax >= 1)
      assert.ok(connectionsOf(demand, sizes) <= maxConnections, JSON.stringify({ demand, sizes }))
    } catch (error) {
      assert.ok(isTenfoldError(error) && error.code === 'TOPOLOGY_REFUSED', String(error))
      assert.ok(connectionsOf(demand, { readersMax: 1, writersMax: 1 }) > maxConnections, `refused needlessly: ${JSON.stringify(demand)}`)
      refused++
    }
  }
  assert.ok(refused > 0)
  assert.deepEqual(poolSizes({ maxConnections: 800, processes: 1, workers: 1, services: 5, consumers: 7 }), { readersMax: 3, writersMax: 8, perService: 150 })
})

test('connections of a topology that do not fit are fewer, and the log says so', async t => {
  const scratch = await scratchPostgres()
  t.after(() => scratch.close())
  const said: string[] = []
  const log = { ...silentLogger, warn: (_: unknown, text: string) => { said.push(text) } } as unknown as Logger
  const sizesWith = (connections: { read: number; write: number }) => poolSizesFor({
    app, databaseUrl: scratch.url, log, topology: { ...topology, ports: { ...topology.ports, database: { ...topology.ports.database, connections } } },
  })
  const few = await sizesWith({ read: 2, write: 2 })
  assert.deepEqual([few.readersMax, few.writersMax, said.length], [2, 2, 0])
  const many = await sizesWith({ read: 100, write: 100 })
  assert.ok(many.readersMax + many.writersMax <= many.perService && many.readersMax < 100, JSON.stringify(many))
  assert.match(said.join(), new RegExp(`do not fit: Postgres allows \\d+ connections, which leaves each service ${many.perService} in each process`))
})

test('the real server starts with them, and SHOW agrees', async context => {
  const here = machineHere(3, true)
  const small = { memoryBytes: gibi, cores: 1, processes: 2, tuned: true }
  const large = { memoryBytes: 64 * gibi, cores: 32, processes: 9, tuned: true }
  for (const machine of [here, small, large]) {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-test-'))
    context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
    await chmod(folder, 0o755)
    const settings = serverSettings(machine)
    // The large one's memory is reserved, not touched; where even that fails the test would be about this machine.
    const given: Record<string, string> = machine === large ? { shared_buffers: '256MB' } : {}
    const server = await startPostgresServer({ dataFolder: folder, machine, settings: given, log: silentLogger })
    const client = new pg.Client(server.url)
    try {
      await client.connect()
      for (const [name, value] of Object.entries({ ...settings, ...given })) {
        const { rows } = await client.query<{ shown: string }>('SELECT current_setting($1) AS shown', [name])
        const same = sized.test(value) ? bytesOf(rows[0]!.shown) === bytesOf(value) : rows[0]!.shown === value
        assert.ok(same, `${name} is ${rows[0]!.shown}, not ${value}`)
      }
    } finally {
      await client.end()
      await server.stop()
    }
  }
})
