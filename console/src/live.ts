/**
 * The stream of samples, for the whole page.
 *
 *   connecting ──history──▶ live ──error──▶ reconnecting ──history──▶ live
 *   A page that nobody looks at holds no connection; the history fills the gap when it is looked at again.
 */
import { useSyncExternalStore } from 'react'
import type { Sample } from '../../src/admin/sample.ts'

export type Connection = 'connecting' | 'live' | 'reconnecting'
export interface LiveState { readonly connection: Connection; readonly samples: readonly Sample[]; readonly last: Sample | null }

const samplesMax = 300
const againMs = 2_000
/** So long without a sample, it is not live, whatever the connection says. */
const silentMs = 6_000

let state: LiveState = { connection: 'connecting', samples: [], last: null }
const listeners = new Set<() => void>()
let source: EventSource | null = null
let again: ReturnType<typeof setTimeout> | undefined
let silence: ReturnType<typeof setTimeout> | undefined

function change(next: Partial<LiveState>): void {
  state = { ...state, ...next }
  for (const listener of listeners) listener()
}

function lost(): void {
  change({ connection: state.last || state.connection === 'reconnecting' ? 'reconnecting' : 'connecting' })
  if (source?.readyState !== EventSource.CLOSED) return
  clearTimeout(again)
  again = setTimeout(open, againMs)
}

function heard(): void {
  clearTimeout(silence)
  silence = setTimeout(() => { change({ connection: 'reconnecting' }); open() }, silentMs)
}

function open(): void {
  source?.close()
  clearTimeout(again)
  if (document.hidden) return
  source = new EventSource('/live')
  source.addEventListener('history', event => {
    const known = JSON.parse((event as MessageEvent<string>).data) as Sample[]
    // A deployment that began anew has no history: what this page has seen stays.
    const from = known[0]?.atMs ?? Infinity
    const samples = [...state.samples.filter(one => one.atMs < from), ...known].slice(-samplesMax)
    change({ connection: 'live', samples, last: known.at(-1) ?? state.last })
    heard()
  })
  source.addEventListener('sample', event => {
    const sample = JSON.parse((event as MessageEvent<string>).data) as Sample
    change({ connection: 'live', samples: [...state.samples, sample].slice(-samplesMax), last: sample })
    heard()
  })
  source.addEventListener('error', lost)
}

export function startLive(): void {
  open()
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) return open()
    source?.close()
    clearTimeout(silence)
  })
}

const subscribe = (listener: () => void) => { listeners.add(listener); return () => { listeners.delete(listener) } }
export const useLive = (): LiveState => useSyncExternalStore(subscribe, () => state)
