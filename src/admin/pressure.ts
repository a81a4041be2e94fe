/** Which resource is nearest to its limit, by utilisation. It binds only if more of it would help, which this does not prove: the page says "near its limit". */
import type { PostgresSample, Pressure, ProcessSample } from './sample.ts'

/** Below this share nothing is said. */
export const pressureShare = 0.8

export function pressureOf(processes: readonly ProcessSample[], postgres: PostgresSample | null): Pressure | null {
  const candidates: Pressure[] = processes.flatMap(({ name, replica, use }) => {
    if (!use) return []
    const at = `${name} ${replica}`
    return [
      { at, resource: 'event loop', share: use.loop },
      { at, resource: 'requests at once', share: ratio(use.inFlight, use.inFlightMax) },
      // A full pool for which nobody waits is no limit.
      ...use.connectionsAwaited > 0 ? [{ at, resource: 'connections of its pools', share: ratio(use.connections, use.connectionsMax) }] : [],
    ]
  })
  if (postgres) candidates.push({ at: 'postgres', resource: 'connections', share: ratio(postgres.connections, postgres.connectionsMax) })
  const [first] = candidates.filter(one => one.share >= pressureShare).sort((a, b) => b.share - a.share)
  return first ?? null
}

const ratio = (used: number, max: number): number => max > 0 ? Math.min(1, used / max) : 0
