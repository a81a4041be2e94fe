/** The broadcast drivers against their suite, and two with a fault, which it must find. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { broadcastSuite } from '../../src/conformance/broadcast.ts'
import type { BroadcastSubject } from '../../src/conformance/broadcast.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { openMemoryBroadcast } from '../../src/drivers/memory/broadcast.ts'
import { openPostgresBroadcast } from '../../src/drivers/postgres/broadcast.ts'
import type { Broadcast } from '../../src/ports/broadcast.ts'
import { scratchPostgres } from '../support/postgres.ts'

const memory: Driver<BroadcastSubject> = {
  name: 'memory',
  async open() {
    const one = openMemoryBroadcast()
    await one.open()
    return { subject: { one, other: one }, close: () => one.close() }
  },
}

const postgres = (name = 'postgres', wrap = (broadcast: Broadcast): Broadcast => broadcast): Driver<BroadcastSubject> => ({
  name, faults: ['cut'],
  async open() {
    const scratch = await scratchPostgres()
    const [one, other] = [0, 1].map(() => openPostgresBroadcast({ url: scratch.url, log: silentLogger })) as [Broadcast, Broadcast]
    await Promise.all([one.open(), other.open()])
    const cut = async () => { await scratch.sql('SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()') }
    return {
      subject: { one: wrap(one), other: wrap(other), cut },
      close: async () => { await Promise.all([one.close(), other.close()]); await scratch.close() },
    }
  },
})

for (const one of [...verify(broadcastSuite, memory), ...verify(broadcastSuite, postgres())]) test(one.name, { skip: one.skip, timeout: 30_000 }, one.run)

/** The same driver with one method of another. */
const but = (broadcast: Broadcast, other: Partial<Broadcast>): Broadcast => ({
  open: () => broadcast.open(), close: () => broadcast.close(), send: (topic, text) => broadcast.send(topic, text),
  listen: (topic, listener) => broadcast.listen(topic, listener), get hearing() { return broadcast.hearing }, bytesMax: broadcast.bytesMax, ...other,
})

const secretive = (broadcast: Broadcast) => but(broadcast, { listen: (topic, listener) => broadcast.listen(topic, { ...listener, gap: () => {} }) })
function sayingOnce(broadcast: Broadcast): Broadcast {
  const said = new Set<string>()
  return but(broadcast, { send: async (topic, text) => { if (!said.has(text)) { said.add(text); await broadcast.send(topic, text) } } })
}

// At the same time: each waits until nothing comes.
test('faults are found', { concurrency: true, timeout: 60_000 }, async t => {
  await Promise.all(([[secretive, 'a lost connection is told as a gap, before anything that comes after it'], [sayingOnce, 'order is kept, and equal texts are not made one']] as const).map(([wrap, check]) => t.test(`broadcast · ${wrap.name} fails '${check}'`, async () => {
    const cases = verify(broadcastSuite, postgres(wrap.name, wrap)).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`broadcast · ${wrap.name} · ${check}`])
  })))
})
