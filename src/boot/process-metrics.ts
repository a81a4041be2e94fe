/** What a process tells of itself: CPU, memory, event loop, garbage collection. */
import { constants, performance, PerformanceObserver } from 'node:perf_hooks'
import type { PerformanceEntry } from 'node:perf_hooks'
import { readFileSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
import type { MetricRegistry, NumberSample } from '../base/metric-registry.ts'
import { after, monotonicMs, now } from '../base/time.ts'

const delayMs = 25
const utilizationMs = 1_000
const gcTypes: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor', [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental', [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

/** Registers all of them; the returned function ends what measures. */
export function measureProcess(metrics: MetricRegistry): () => void {
  const startedAt = now() / 1_000 - process.uptime()
  metrics.observeOne('process_start_time_seconds', () => startedAt)
  metrics.observe('process_cpu_seconds_total', () => {
    const { user, system } = process.cpuUsage()
    return [{ labels: { mode: 'user' }, value: user / 1e6 }, { labels: { mode: 'system' }, value: system / 1e6 }]
  })
  metrics.observe('process_cpu_wait_seconds_total', cpuWait)
  metrics.observeOne('process_resident_memory_bytes', () => process.memoryUsage.rss())
  metrics.observeOne('v8js_memory_heap_used_bytes', () => getHeapStatistics().used_heap_size)
  metrics.observeOne('v8js_memory_heap_size_bytes', () => getHeapStatistics().total_heap_size)
  metrics.observeOne('v8js_memory_heap_limit_bytes', () => getHeapStatistics().heap_size_limit)
  metrics.observeOne('v8js_memory_external_bytes', () => getHeapStatistics().external_memory)
  const stops = [measureGc(metrics), measureEventLoop(metrics)]
  return () => { for (const stop of stops) stop() }
}

/** Of the main thread, which is the one of the event loop: time on a processor, time waiting for one, and how often. */
function cpuWait(): NumberSample[] {
  try {
    const [, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ')
    return [{ labels: {}, value: Number(waitedNs) / 1e9 }]
  } catch { return [] }
}

function measureGc(metrics: MetricRegistry): () => void {
  const pauses = new Map(Object.entries(gcTypes).map(([type, name]) => [Number(type), metrics.histogram('v8js_gc_duration_seconds', name)]))
  const observer = new PerformanceObserver(list => {
    for (const entry of list.getEntries()) pauses.get((entry as PerformanceEntry & { detail: { kind: number } }).detail.kind)?.observe(entry.duration / 1_000)
  })
  observer.observe({ entryTypes: ['gc'] })
  return () => observer.disconnect()
}

/** By a timer of the loop itself and not by monitorEventLoopDelay: that one's counts cannot be read bucket by bucket. */
function measureEventLoop(metrics: MetricRegistry): () => void {
  const delays = metrics.histogram('nodejs_eventloop_delay_seconds')
  let before = performance.eventLoopUtilization()
  let beforeMs = monotonicMs()
  let utilization = 0
  metrics.observeOne('nodejs_eventloop_utilization', () => utilization)
  metrics.observe('nodejs_eventloop_time_seconds_total', () => {
    const { active, idle } = performance.eventLoopUtilization()
    return [{ labels: { state: 'active' }, value: active / 1_000 }, { labels: { state: 'idle' }, value: idle / 1_000 }]
  })
  let cancel = () => {}
  const tick = (askedMs: number) => {
    const atMs = monotonicMs()
    delays.observe(Math.max(0, atMs - askedMs - delayMs) / 1_000)
    if (atMs - beforeMs >= utilizationMs) {
      const at = performance.eventLoopUtilization()
      utilization = performance.eventLoopUtilization(at, before).utilization
      before = at
      beforeMs = atMs
    }
    cancel = after(delayMs, () => tick(atMs), true)
  }
  const startMs = monotonicMs()
  cancel = after(delayMs, () => tick(startMs), true)
  return () => cancel()
}
