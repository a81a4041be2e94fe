/** The broadcast port within one process: for a topology that has no other. */
import type { Broadcast, BroadcastListener } from '../../ports/broadcast.ts'

const bytesMax = 1_048_576

export function openMemoryBroadcast(): Broadcast {
  const listeners = new Map<string, Set<BroadcastListener>>()
  let open = false
  return {
    bytesMax,
    get hearing() { return open },
    open: async () => { open = true },
    close: async () => { open = false; listeners.clear() },
    async send(topic, text) {
      if (Buffer.byteLength(text) > bytesMax) throw new Error(`a broadcast has at most ${bytesMax} bytes`)
      for (const listener of listeners.get(topic) ?? []) listener.heard(text)
    },
    listen(topic, listener) {
      const all = listeners.get(topic) ?? new Set()
      listeners.set(topic, all.add(listener))
      return () => { all.delete(listener) }
    },
  }
}
