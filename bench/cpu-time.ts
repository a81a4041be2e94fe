/** CPU time of a process and all its descendants, from /proc: Linux only, null elsewhere. */
import { readFileSync, readdirSync } from 'node:fs'

/** USER_HZ is 100 on every Linux that Node runs on. */
const microsecondsPerTick = 10_000

interface Stat { readonly parent: number; readonly ticks: number }

function statOf(pid: string): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in brackets may contain spaces: fields count from behind it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // utime, stime and those of children that have ended, so that the sum never shrinks.
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14]) }
  } catch { return null }
}

function statsOfAll(): Map<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? statOf(entry) : null
    if (stat) stats.set(Number(entry), stat)
  }
  return stats
}

/** Of those processes, this one and all its descendants; `except` is left out with its own. */
function familyIn(stats: ReadonlyMap<number, Stat>, root: number, except?: number): number[] {
  const belongs = (pid: number): boolean => {
    if (pid === except) return false
    if (pid === root) return true
    const parent = stats.get(pid)?.parent
    return parent !== undefined && parent > 1 && belongs(parent)
  }
  return [...stats.keys()].filter(belongs)
}

/** A process and all its descendants: Linux only, empty elsewhere. */
export const familyOf = (root: number): number[] => process.platform === 'linux' ? familyIn(statsOfAll(), root) : []

/** `except` is left out with its descendants: an embedded Postgres is a child of its application. */
export function cpuMicroseconds(root: number, except?: number): number | null {
  if (process.platform !== 'linux') return null
  const stats = statsOfAll()
  return familyIn(stats, root, except).reduce((ticks, pid) => ticks + stats.get(pid)!.ticks, 0) * microsecondsPerTick
}
