/**
 * What is measured of a server whose sojourn times theory knows. On a simulated clock the code that schedules and
 * counts must agree with the same draws simulated otherwise; the long form (soak) has real processes and sockets.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { test } from 'node:test'
import { after, monotonicMs } from '../../src/base/time.ts'
import { Agenda } from '../../src/load/agenda.ts'
import { seededFraction } from '../../src/load/draw.ts'
import { Generator } from '../../src/load/generator.ts'
import { Histogram } from '../../src/load/histogram.ts'
import { journey } from '../../src/load/journey.ts'
import { timerTicker } from '../../src/load/metronome.ts'
import { constantProfile } from '../../src/load/profile.ts'
import { percentilesOf as histogramPercentilesOf } from '../../src/load/report.ts'
import { runLoad } from '../../src/load/run.ts'
import type { IncomingAnswer, Sender } from '../../src/load/sender.ts'
import { queueCount } from '../fixtures/queue-journey.ts'
import { error, serviceDraw, simulate, theory } from '../support/queueing.ts'
import type { Queue } from '../support/queueing.ts'
import { withSimulatedClock } from '../support/simulated-clock.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const ok: IncomingAnswer = { status: 200, headLines: [], body: Buffer.from('ok') }
const customer = journey({ name: 'customer', thinkMs: 0, run: async user => { await user.get('serve', '/') } })

class SimulatedServer implements Sender {
  inFlight = 0
  readonly waited = 0
  #departureMs = 0
  readonly #serviceMs: () => number

  constructor(queue: Queue, seed: number) {
    const fraction = seededFraction(seed)
    this.#serviceMs = () => serviceDraw(queue, fraction)
  }

  async send(): Promise<IncomingAnswer> {
    this.#departureMs = Math.max(monotonicMs(), this.#departureMs) + this.#serviceMs()
    this.inFlight++
    await new Promise<void>(resolve => { after(this.#departureMs - monotonicMs(), resolve) })
    this.inFlight--
    return ok
  }

  close(): void {}
}

/** Sends one request at a time and measures each from when it was sent: how load is not to be measured. */
class PatientSender implements Sender {
  inFlight = 0
  waited = 0
  readonly latencies = new Histogram()
  #last: Promise<unknown> = Promise.resolve()
  readonly #server: SimulatedServer

  constructor(server: SimulatedServer) { this.#server = server }

  send(): Promise<IncomingAnswer> {
    const answer = this.#last.then(async () => {
      const sentMs = monotonicMs()
      const received = await this.#server.send()
      this.latencies.record(monotonicMs() - sentMs)
      return received
    })
    this.#last = answer
    return answer
  }

  close(): void {}
}

const simulatedMs = 150_000
const serviceSeed = 1_000

/**
 * By chance alone p99 of 60,000 sojourns is off by 5 % (standard deviation; 1.9 % for p50), and a million would be
 * needed to bring that to 1.3 %. So a test takes the first seed whose own sample, simulated, is within 1.5 % of
 * theory; the rest of the 5 % is for what measuring adds.
 */
function typicalSample(queue: Queue, durationMs: number, queues: number) {
  for (let seed = 1; ; seed++) {
    const sample = simulate(queue, { durationMs, arrivals: seededFraction(seed), services: Array.from({ length: queues }, (_, index) => seededFraction(seed * serviceSeed + index)) })
    if (error(sample, theory(queue)) < 0.015) return { seed, ...sample }
  }
}

async function generate(queue: Queue, sender: Sender, seed: number, users?: number) {
  const agenda = () => new Agenda(timerTicker())
  const generator = await withSimulatedClock(simulatedMs + 60_000, () => {
    let sequence = 0
    const plan = { url: 'http://simulated', files: [], durationMs: users === undefined ? simulatedMs : simulatedMs / 10, timeoutMs: 1e9, ...users === undefined ? { rate: constantProfile(queue.utilisation / queue.serviceMs * 1_000) } : { users: constantProfile(users) } }
    const made = new Generator(plan, [customer], { sender, agenda: agenda(), random: seededFraction(seed), ledger: null, unique: () => String(sequence++) }, fault => { throw fault })
    made.begin(monotonicMs())
    return made
  })
  return generator.takeTally()
}

for (const kind of ['M/M/1', 'M/D/1'] as const) {
  const queue: Queue = { kind, serviceMs: 8, utilisation: 0.7 }
  const right = theory(queue)

  test(`${kind} on a simulated clock: what is measured is what happened, and what theory says`, async () => {
    const { seed, ...reference } = typicalSample(queue, simulatedMs, 1)
    const tally = await generate(queue, new SimulatedServer(queue, seed * serviceSeed), seed)
    const measured = histogramPercentilesOf(tally.total().latency)
    assert.equal(tally.total().good, reference.count)
    assert.equal(tally.lateness.maxMs, 0, 'on a simulated clock nothing is late')
    assert.ok(error(measured, reference) < 0.003, JSON.stringify({ measured, reference }))
    assert.ok(error(measured, right) < 0.05, JSON.stringify({ measured, right }))
  })

  test(`${kind}: from the moment of sending, or with one user in a loop, it would come out wrong`, async () => {
    const { seed } = typicalSample(queue, simulatedMs, 1)
    const patient = new PatientSender(new SimulatedServer(queue, seed * serviceSeed))
    const tally = await generate(queue, patient, seed)
    assert.ok(error(histogramPercentilesOf(patient.latencies), right) > 0.3, 'from when it was sent, the wait is hidden')
    assert.ok(error(histogramPercentilesOf(tally.total().latency), right) < 0.05, 'from when it was due, it is not, over the same connection')
    const closed = await generate(queue, new SimulatedServer(queue, seed * serviceSeed), seed, 1)
    assert.ok(error(histogramPercentilesOf(closed.total().latency), right) > 0.3)
  })

  test(`${kind} for real: percentiles within 5 % of theory`, { skip: isSoak ? false : 'part of npm run soak', timeout: 600_000 }, async t => {
    const durationMs = 180_000
    // Two processes, their timers and a connection take about a millisecond, which is not the server's to be known for.
    const queue: Queue = { kind, serviceMs: 25, utilisation: 0.7 }
    const right = theory(queue)
    const { seed, ...sample } = typicalSample(queue, durationMs, queueCount)
    const server = spawn(process.execPath, [path.resolve(import.meta.dirname, '../fixtures/queue-server.ts'), kind, String(queue.serviceMs), String(queueCount), String(seed * serviceSeed)], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => server.kill('SIGTERM'))
    const [port] = await once(server.stdout, 'data') as [Buffer]
    const rate = constantProfile(queue.utilisation / queue.serviceMs * 1_000 * queueCount)
    const report = await runLoad({ url: `http://127.0.0.1:${Number(port)}`, files: [path.resolve(import.meta.dirname, '../fixtures/queue-journey.ts')], rate, durationMs, seed, generators: 1 })
    const { p50Ms, p90Ms, p99Ms } = report.total
    t.diagnostic(`seed ${seed}: measured ${p50Ms.toFixed(2)}/${p90Ms.toFixed(2)}/${p99Ms.toFixed(2)} ms, theory ${right.p50Ms.toFixed(2)}/${right.p90Ms.toFixed(2)}/${right.p99Ms.toFixed(2)}, the sample itself ${sample.p50Ms.toFixed(2)}/${sample.p90Ms.toFixed(2)}/${sample.p99Ms.toFixed(2)}; late p99 ${report.generator.latenessP99Ms.toFixed(2)} ms`)
    assert.equal(report.total.good, sample.count, 'every arrival that was drawn was sent and answered')
    assert.equal(report.generator.isBound, false, `the machine is too busy for this test: ${report.generator.why}`)
    assert.ok(error(report.total, right) < 0.05, JSON.stringify({ p50Ms, p90Ms, p99Ms, right }))
  })
}
