/** A deliberately broken orchestrator: it never starts a process again, asks nobody, and forgets to be graceful. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fault } from '../../../src/base/errors.ts'
import { now } from '../../../src/base/time.ts'
import type { Orchestrator, ProcessAnswer, ProcessSpec, ProcessState } from '../../../src/ports/orchestrator.ts'

export class BrokenOrchestrator implements Orchestrator {
  readonly #children = new Map<string, { readonly child: ChildProcess; readonly startedAtMs: number }>()

  #stopped = false

  async apply(processes: readonly ProcessSpec[]): Promise<void> {
    if (processes.some(one => one.listen)) throw fault('NOT_SUPPORTED')
    for (const spec of processes) {
      for (let replica = 0; replica < spec.replicas; replica++) {
        const key = `${spec.name} ${replica}`
        if (this.#stopped) throw fault('DRAINING')
        if (this.#children.has(key)) continue
        const child = spawn(process.execPath, [...spec.command], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...process.env, ...spec.env } })
        this.#children.set(key, { child, startedAtMs: now() })
        await Promise.race([once(child, 'message'), once(child, 'exit')])
      }
    }
  }

  observe(): readonly ProcessState[] {
    return [...this.#children].map(([key, { child, startedAtMs }]) => {
      const [name = '', replica] = key.split(' ')
      return { name, replica: Number(replica), pid: child.pid ?? null, state: 'ready' as const, restarts: 0, startedAtMs }
    })
  }

  async ask(): Promise<readonly ProcessAnswer[]> { return [] }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([...this.#children.values()].map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }))
    this.#children.clear()
  }
}
