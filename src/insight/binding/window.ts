/** From two readings of all metrics, and looks in between, to evidence. */
import type { MetricName } from '../../base/metric-table.ts'
import { MetricWindow } from '../../base/metric-window.ts'
import type { Reading } from '../../base/metric-window.ts'
import type { StatementFacts } from '../../ports/inspection.ts'
import type { Activity, Doing } from '../../ports/measurements.ts'
import { places } from '../../base/place.ts'
import type { ActivityEvidence, Doings, Evidence, GhostEvidence, IntentEvidence, PoolEvidence, ProcessEvidence, StatementEvidence } from './evidence.ts'

export interface Observed {
  readonly at: string
  readonly application: string
  readonly topology: string
  readonly cores: number
  /** Names of the processes that answer requests, without their numbers. */
  readonly answering: readonly string[]
  /** The first, the last, and some in between for what is a state and not a count. */
  readonly readings: readonly Reading[]
  readonly activity: readonly (readonly Activity[])[]
  readonly statementsBefore: readonly StatementFacts[]
  readonly statementsAfter: readonly StatementFacts[]
  readonly ghosts: readonly GhostEvidence[]
}

const statementsMax = 20
const http = 'http_server_request_duration_seconds'

export function evidenceOf(observed: Observed): Evidence {
  const { at, application, topology, cores, readings } = observed
  const window = new MetricWindow(readings[0]!, readings.at(-1)!)
  const told = (name: MetricName) => window.after.sum(name) === null ? null : window.rate(name)
  const perSecond = window.rate(http)
  const busy = window.rate('tenfold_machine_cpu_seconds_total', { state: 'busy' })
  return {
    at, application, topology, cores, seconds: window.seconds,
    machineCpu: window.after.sum('tenfold_machine_cpu_seconds_total') === null ? null : busy,
    requests: {
      perSecond, meanMs: perSecond > 0 ? window.sum(http) * 1_000 / (perSecond * window.seconds) : 0,
      inFlight: window.rate('http_server_active_request_seconds_total'), shedPerSecond: window.rate('tenfold_intent_shed_total'),
    },
    processes: processesOf(window, observed.answering), pools: poolsOf(readings), connectionsPerService: window.after.least('tenfold_service_connections_max'), intents: intentsOf(window),
    activity: observed.activity.length > 0 ? activityOf(observed.activity) : null,
    databaseCpu: told('tenfold_postgres_cpu_seconds_total'), databaseCpuWait: told('tenfold_postgres_cpu_wait_seconds_total'),
    statements: statementsOf(observed, window.seconds), ghosts: observed.ghosts, generator: null,
  }
}

function processesOf(window: MetricWindow, answering: readonly string[]): ProcessEvidence[] {
  return window.after.values('nodejs_eventloop_time_seconds_total', 'process').filter(process => process !== 'supervisor').map(process => {
    const [active, idle] = ['active', 'idle'].map(state => window.count('nodejs_eventloop_time_seconds_total', { process, state })) as [number, number]
    const delays = window.count('nodejs_eventloop_delay_seconds', { process })
    return {
      process, answersRequests: answering.includes(process.replace(/-\d+$/, '')), loop: active + idle > 0 ? active / (active + idle) : 0,
      cpu: window.rate('process_cpu_seconds_total', { process }), cpuWait: window.rate('process_cpu_wait_seconds_total', { process }),
      loopDelayMs: delays > 0 ? window.sum('nodejs_eventloop_delay_seconds', { process }) * 1_000 / delays : 0,
    }
  })
}

function poolsOf(readings: readonly Reading[]): PoolEvidence[] {
  const last = readings.at(-1)!
  const pools = new Map(last.of('db_client_connections_max').map(({ labels: { service, pool } }) => [`${service} ${pool}`, { service: service!, pool: pool! }]))
  const mean = (name: MetricName, labels: Readonly<Record<string, string>>) => readings.reduce((sum, one) => sum + (one.sum(name, labels) ?? 0), 0) / readings.length
  return [...pools.values()].map(pool => ({
    ...pool, max: last.sum('db_client_connections_max', pool) ?? 0,
    used: mean('db_client_connections', { ...pool, state: 'used' }), waiting: mean('db_client_connections_pending_requests', pool),
  }))
}

function intentsOf(window: MetricWindow): IntentEvidence[] {
  const found = window.after.values('tenfold_intent_residence_seconds_total', 'intent').map(intent => ({
    intent, perSecond: window.rate('tenfold_intent_duration_seconds', { intent }),
    at: Object.fromEntries(places.map(at => [at, window.rate('tenfold_intent_residence_seconds_total', { intent, at })]).filter(([, mean]) => (mean as number) > 0)),
  }))
  return found.filter(one => Object.keys(one.at).length > 0)
}

const nothing = (): Record<Doing, number> => ({ cpu: 0, lock: 0, log: 0, data: 0, pause: 0, client: 0, other: 0 })

function activityOf(samples: readonly (readonly Activity[])[]): ActivityEvidence {
  const all = samples.flat()
  const each = 1 / samples.length
  const meansBy = (keyOf: (one: Activity) => string | null): [string, Doings][] => {
    const found = new Map<string, Record<Doing, number>>()
    for (const one of all) {
      const key = keyOf(one)
      if (key === null) continue
      const doing = found.get(key) ?? nothing()
      found.set(key, doing)
      doing[one.doing] += each
    }
    return [...found]
  }
  const holders = Map.groupBy(all.filter(one => one.holds), ({ intent, program, doing }) => JSON.stringify([intent ?? program, intent !== null, doing]))
  return {
    samples: samples.length,
    services: meansBy(one => one.service).map(([service, doing]) => ({ service, doing })),
    intents: meansBy(one => one.service === null ? null : one.intent).map(([intent, doing]) => ({ intent, doing })),
    holders: [...holders].map(([key, same]) => {
      const [who, isIntent, doing] = JSON.parse(key) as [string, boolean, Doing]
      return { who, isIntent, doing, mean: same.length * each }
    }).sort((a, b) => b.mean - a.mean),
  }
}

/** What was run meanwhile, the most time first. Counts that went back were reset. */
function statementsOf({ statementsBefore, statementsAfter }: Observed, seconds: number): StatementEvidence[] {
  const before = new Map(statementsBefore.map(one => [`${one.service} ${one.text}`, one]))
  return statementsAfter.flatMap(one => {
    const then = before.get(`${one.service} ${one.text}`)
    const since = then && then.calls <= one.calls ? then : { calls: 0, totalMs: 0 }
    const [calls, totalMs] = [one.calls - since.calls, one.totalMs - since.totalMs]
    return calls > 0 ? [{ service: one.service, text: one.text, intents: one.intent === null ? [] : [one.intent], perSecond: calls / seconds, meanMs: totalMs / calls }] : []
  }).sort((a, b) => b.perSecond * b.meanMs - a.perSecond * a.meanMs).slice(0, statementsMax)
}
