/**
 * Wakes its owner after a delay, more exactly than a timer of the event loop, which knows whole
 * milliseconds only: a thread waits on a futex and sends a message. One delay at a time.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { after } from '../base/time.ts'

export interface Ticker {
  /** Replaces the delay under way. */
  arm(delayMs: number, callback: () => void): void
  close(): void
}

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const delayMinMs = 0.05

/** Resolves once the thread runs: what falls due before that would all be late. */
export async function metronome(): Promise<Ticker> {
  const version = new Int32Array(new SharedArrayBuffer(4))
  const delay = new Float64Array(new SharedArrayBuffer(8))
  const thread = new Worker(new URL(`./metronome-thread.${extension}`, import.meta.url), { workerData: { version, delay } })
  await once(thread, 'message')
  let callback = () => {}
  let armed = 0
  thread.on('message', (fired: number) => { if (fired === armed) callback() })
  return {
    arm(delayMs, then) {
      callback = then
      delay[0] = Math.max(delayMs, delayMinMs)
      armed = Atomics.add(version, 0, 1) + 1
      Atomics.notify(version, 0)
    },
    close: () => void thread.terminate(),
  }
}

/** By the timers of base, so that a simulated clock rules it. */
export function timerTicker(): Ticker {
  let cancel = () => {}
  return {
    arm(delayMs, callback) {
      cancel()
      cancel = after(delayMs, callback)
    },
    close: () => cancel(),
  }
}
