/** The thread behind metronome.ts: sleeps until it is given a delay, then until that is over or another one comes. */
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMs } from '../base/time.ts'

const { version, delay } = workerData as { readonly version: Int32Array<SharedArrayBuffer>; readonly delay: Float64Array }

/** True when it is over, false when another delay has come. A notice of the one under way may still come, and ends nothing. */
function sleepOut(seen: number): boolean {
  const endMs = monotonicMs() + delay[0]!
  while (Atomics.load(version, 0) === seen) {
    if (Atomics.wait(version, 0, seen, Math.max(0, endMs - monotonicMs())) === 'timed-out') return true
  }
  return false
}

parentPort!.postMessage(0)
for (let seen = 0; ;) {
  const current = Atomics.load(version, 0)
  if (current === seen) {
    Atomics.wait(version, 0, seen)
    continue
  }
  seen = current
  if (sleepOut(seen)) parentPort!.postMessage(seen)
}
