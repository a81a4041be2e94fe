/** The thread behind metronome.ts: sleeps until it is given a delay, then until that is over or another one comes. */
import { parentPort, workerData } from 'node:worker_threads'

const { version, delay } = workerData as { readonly version: Int32Array<SharedArrayBuffer>; readonly delay: Float64Array }

parentPort!.postMessage(0)
for (let seen = 0; ;) {
  const current = Atomics.load(version, 0)
  if (current === seen) {
    Atomics.wait(version, 0, seen)
    continue
  }
  seen = current
  if (Atomics.wait(version, 0, seen, delay[0]) === 'timed-out') parentPort!.postMessage(seen)
}
