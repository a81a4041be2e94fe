/** Whether a process runs. */
import { readFileSync } from 'node:fs'

/** False as well for one that has ended and waits for its parent, who may never ask. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat[stat.lastIndexOf(')') + 2] !== 'Z'
  } catch (error) { return (error as NodeJS.ErrnoException).code === 'ENOENT' && process.platform !== 'linux' }
}
