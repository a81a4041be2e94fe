/** A machine of so many cores on a smaller one, each core a part as fast: by limits of processor time (cgroups: root, Linux). */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { CpuQuotas } from '../src/base/cpu-quota.ts'
import type { CpuGroup } from '../src/base/cpu-quota.ts'
import { familyOf } from './cpu-time.ts'

export class RehearsedMachine {
  readonly #outer: CpuQuotas
  readonly #inner: CpuQuotas
  readonly #groups: CpuGroup[] = []
  readonly #cores: number
  readonly #speed: number

  private constructor(outer: CpuQuotas, inner: CpuQuotas, groups: readonly CpuGroup[], cores: number, speed: number) {
    this.#outer = outer
    this.#inner = inner
    this.#groups.push(...groups)
    this.#cores = cores
    this.#speed = speed
  }

  /** `speed`: of a core, as a part of one of this machine. */
  static async make(name: string, cores: number, speed: number): Promise<RehearsedMachine> {
    const outer = new CpuQuotas(`bench ${name}`)
    const machine = outer.limit('machine', cores * speed)
    // Groups lie below the one that somebody is in: somebody who then goes, since with version 2 nobody may be where groups are divided.
    const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' })
    machine.add(sleeper.pid!)
    const groups = readFileSync(`/proc/${sleeper.pid}/cgroup`, 'utf8')
    sleeper.kill('SIGKILL')
    await once(sleeper, 'exit')
    const inner = new CpuQuotas('cores', { platform: process.platform, mounts: readFileSync('/proc/self/mountinfo', 'utf8'), groups })
    return new RehearsedMachine(outer, inner, [machine], cores, speed)
  }

  /** Each of these has a core at most, as a process with one thread has; what the root has started besides has what is left. */
  run(root: number, single: readonly number[]): void {
    const limit = (name: string, cores: number, pids: readonly number[]): void => {
      const group = this.#inner.limit(name, cores)
      this.#groups.push(group)
      for (const pid of pids) group.add(pid)
    }
    limit('rest', this.#cores * this.#speed, familyOf(root).filter(pid => !single.includes(pid)))
    for (const pid of single) limit(`core-${pid}`, this.#speed, [pid])
  }

  /** Once nothing runs there any more. */
  close(): void {
    for (const group of this.#groups.toReversed()) group.remove()
    this.#inner.close()
    this.#outer.close()
  }
}
