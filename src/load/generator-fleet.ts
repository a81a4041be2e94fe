/** The generator processes of a run: started, told their shares, listened to, and ended. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { fault } from '../base/errors.ts'
import { randomHex } from '../base/random.ts'
import type { FromGenerator, GeneratorSecond } from './generator-process.ts'
import type { LoadPlan, ToGenerator } from './plan.ts'

const processFile = fileURLToPath(new URL(`./generator-process.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url))

export class GeneratorFleet {
  readonly #plan: LoadPlan
  readonly #onSecond: (index: number, message: GeneratorSecond) => void
  readonly #run = randomHex(4)
  readonly #children: ChildProcess[] = []
  readonly #done = new Set<ChildProcess>()
  readonly #finished = Promise.withResolvers<void>()
  #shares = 0

  constructor(plan: LoadPlan, onSecond: (index: number, message: GeneratorSecond) => void) {
    this.#plan = plan
    this.#onSecond = onSecond
    this.#finished.promise.catch(() => {})
  }

  get size(): number { return this.#shares }
  /** Resolves when every generator has had its last answer; rejects when one fails. */
  get finished(): Promise<void> { return this.#finished.promise }

  /** Starts one more and resolves when it has prepared. It has no share yet. */
  grow(): Promise<void> {
    const child = fork(processFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const index = this.#children.push(child) - 1
    const ready = Promise.withResolvers<void>()
    const fail = (error: Error) => {
      ready.reject(error)
      this.#finished.reject(error)
    }
    child.on('message', (message: FromGenerator) => {
      if (message.kind === 'ready') ready.resolve()
      else if (message.kind === 'fault') fail(message.code ? fault(message.code, message.message) : new Error(message.message))
      else this.#listen(child, index, message)
    })
    child.on('error', fail)
    child.on('exit', code => {
      if (!this.#done.has(child)) fail(new Error(`a load generator ended with ${code} before the load did`))
    })
    this.#tell(child, { kind: 'prepare', plan: this.#plan, index, run: this.#run })
    return ready.promise
  }

  /** Deals the load to all who are there. */
  share(elapsedMs: number): void {
    const count = this.#shares = this.#children.length
    for (const [index, child] of this.#children.entries()) this.#tell(child, { kind: 'share', index, count, elapsedMs })
  }

  end(): void { for (const child of this.#children) this.#tell(child, { kind: 'end' }) }

  kill(): void {
    for (const child of this.#children) {
      this.#done.add(child)
      if (child.exitCode === null) child.kill('SIGKILL')
    }
  }

  #listen(child: ChildProcess, index: number, message: GeneratorSecond): void {
    if (message.done) this.#done.add(child)
    this.#onSecond(index, message)
    if (this.#done.size === this.#children.length) this.#finished.resolve()
  }

  #tell(child: ChildProcess, message: ToGenerator): void { if (child.connected) child.send(message) }
}
