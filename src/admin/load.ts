/** Load from the console: the application's journeys, one run of them at a time in a process of its own, and how it goes. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { fault } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { LoadPlan } from '../load/plan.ts'
import { constantProfile } from '../load/profile.ts'
import type { LoadProgress, LoadReport } from '../load/report.ts'
import type { JourneyFacts, LoadAnswer, LoadQuestion } from './load-runner.ts'
import type { AdminRoute } from './route.ts'

export type LoadSettings = Omit<LoadPlan, 'url' | 'files'>

export interface LoadRun {
  readonly settings: LoadSettings
  readonly state: 'running' | 'stopping' | 'done' | 'failed'
  readonly progress: readonly LoadProgress[]
  readonly report: Omit<LoadReport, 'timeline'> | null
  readonly error: string | null
}

const runnerFile = fileURLToPath(new URL(`./load-runner${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url))
const progressMax = 300
const bounds = { rate: [0.1, 10_000], users: [1, 10_000], seconds: [1, 3_600], weight: [0, 10_000] } as const

export class LoadDesk {
  readonly #deployment: Deployment
  #journeys: Promise<readonly JourneyFacts[]> | undefined
  #run: LoadRun | null = null
  #child: ChildProcess | null = null

  constructor(deployment: Deployment) { this.#deployment = deployment }

  routes(): AdminRoute[] {
    return [
      { method: 'GET', path: '/load', answer: async () => ({ run: this.#run, journeys: await this.#list() }) },
      { method: 'POST', path: '/load', answer: async ({ body }) => this.#start(settingsOf(await body())) },
      { method: 'DELETE', path: '/load', answer: () => this.#end() },
    ]
  }

  stop(): void { this.#child?.kill() }

  #fork(): ChildProcess {
    return fork(runnerFile, [path.join(path.dirname(this.#deployment.source.appFile), 'load')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  }

  /** Empty for an application without journeys; a fault in them is told. */
  #list(): Promise<readonly JourneyFacts[]> {
    return this.#journeys ??= new Promise<readonly JourneyFacts[]>((resolve, reject) => {
      const child = this.#fork()
      child.once('message', (answer: LoadAnswer) => {
        if (answer.kind === 'journeys') resolve(answer.journeys)
        else if (answer.kind === 'refused' && answer.message.startsWith('there are no journeys')) resolve([])
        else reject(answer.kind === 'refused' ? fault(answer.code, answer.message) : new Error('the runner answered something else'))
      })
      child.once('exit', code => reject(fault('UNAVAILABLE', `the journeys cannot be imported (exit code ${code}); see the log`)))
      child.send({ kind: 'journeys' } satisfies LoadQuestion)
    }).catch((error: unknown) => { this.#journeys = undefined; throw error })
  }

  #start(settings: LoadSettings): LoadRun {
    if (this.#child) throw fault('CONFLICT', 'load runs already; stop it first')
    const child = this.#child = this.#fork()
    this.#run = { settings, state: 'running', progress: [], report: null, error: null }
    child.on('message', (answer: LoadAnswer) => this.#hear(answer))
    child.once('exit', code => {
      this.#child = null
      if (this.#run!.state === 'running' || this.#run!.state === 'stopping') this.#change({ state: 'failed', error: `the generator ended with ${code ?? 'a signal'}; see the log` })
    })
    child.send({ kind: 'run', plan: { ...settings, url: this.#deployment.url } } satisfies LoadQuestion)
    return this.#run
  }

  #hear(answer: LoadAnswer): void {
    if (answer.kind === 'progress') this.#change({ progress: [...this.#run!.progress, answer.progress].slice(-progressMax) })
    if (answer.kind === 'refused') this.#change({ state: 'failed', error: answer.message })
    if (answer.kind !== 'report') return
    const { timeline: _, ...report } = answer.report
    this.#change({ state: 'done', report: { ...report, total: { ...report.total, histogram: [] }, steps: report.steps.map(step => ({ ...step, histogram: [] })) } })
  }

  #change(next: Partial<LoadRun>): void { this.#run = { ...this.#run!, ...next } }

  #end(): LoadRun | null {
    if (this.#child?.connected && this.#run?.state === 'running') {
      this.#child.send({ kind: 'end' } satisfies LoadQuestion)
      this.#change({ state: 'stopping' })
    }
    return this.#run
  }
}

function numberOf(value: unknown, name: keyof typeof bounds): number {
  const [least, most] = bounds[name]
  if (typeof value !== 'number' || !(value >= least && value <= most)) throw fault('INVALID_INPUT', `${name} is ${JSON.stringify(value)}; write a number from ${least} to ${most}`)
  return value
}

function settingsOf({ rate, users, seconds, mix }: Readonly<Record<string, unknown>>): LoadSettings {
  const durationMs = numberOf(seconds, 'seconds') * 1_000
  if ((rate === undefined) === (users === undefined)) throw fault('INVALID_INPUT', 'load has either a rate of journeys or a number of users')
  const weights = Object.entries((mix ?? {}) as Record<string, unknown>).map(([name, weight]) => [name, numberOf(weight, 'weight')] as const)
  if (weights.length > 0 && weights.every(([, weight]) => weight === 0)) throw fault('INVALID_INPUT', 'every journey has the weight 0')
  return {
    durationMs, ...weights.length > 0 ? { mix: Object.fromEntries(weights) } : {},
    ...rate === undefined ? { users: constantProfile(Math.round(numberOf(users, 'users'))) } : { rate: constantProfile(numberOf(rate, 'rate')) },
  }
}
