/** Which processors a process may use: Linux only, where `taskset` is installed. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Those that this process may use; empty where nothing tells. */
export function allowedProcessors(): number[] {
  if (process.platform !== 'linux') return []
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? ''
  return list.split(',').flatMap(part => {
    const [from = 0, to = from] = part.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, index) => from + index)
  })
}

/** All threads of the process, and what it starts from now on. False: it goes on as before. */
export function pin(pid: number, processor: number): boolean {
  return spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(processor), String(pid)], { stdio: 'ignore' }).status === 0
}
