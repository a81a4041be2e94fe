/**
 * `tenfold seed`: fills in sample data by the application's own seed file, through its own intents.
 *
 * Each call has an idempotency key made of what it asks, so that a seed that was interrupted goes on
 * where it was, and one that has ended does nothing again, while keys are remembered (24 h).
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { fault } from '../base/errors.ts'
import { Closers } from '../base/lifecycle.ts'
import { createLogger } from '../base/log.ts'
import { monotonicMs } from '../base/time.ts'
import { databaseOf, isDeployed } from '../boot/database.ts'
import { findTopology, loadApplication, loadTopology } from '../boot/load.ts'
import { appFileOf, appOption, dataFolderOf, print } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'

/** What a seed file exports as its default: it gets a way to call intents and tells what it made. */
export type Seed = (invoke: Invoke) => Promise<Record<string, number>>
export type Invoke = (intent: string, input: unknown, callerId?: string) => Promise<unknown>

export const seed: CliCommand = {
  name: 'seed',
  summary: 'fill in sample data',
  help: `Runs seed.ts beside the application. Works beside a running deployment and without one.
One that was interrupted goes on where it was, within a day.

  --app FILE        the application (app.ts)
  --topology NAME   whose database (1-monolith)`,
  options: { ...appOption, topology: { type: 'string', default: '1-monolith' } },
  async run(given) {
    const appFile = appFileOf(given)
    const file = path.join(path.dirname(appFile), 'seed.ts')
    if (!existsSync(file)) throw fault('USAGE', `there is no ${file}; write one that exports default async invoke => { … }`)
    const { default: run } = await import(pathToFileURL(file).href) as { default: Seed }
    const startedAtMs = monotonicMs()
    const made = await withInvoke(given, appFile, run)
    const seconds = ((monotonicMs() - startedAtMs) / 1000).toFixed(1)
    print(given, made, `${Object.entries(made).map(([what, count]) => `${count} ${what}`).join(', ')} in ${seconds} s`)
    return 0
  },
}

async function withInvoke<T>(given: Arguments, appFile: string, work: (invoke: Invoke) => Promise<T>): Promise<T> {
  // Here and not above: the other commands need neither the runtime nor its drivers.
  const { boot } = await import('../boot/boot.ts')
  const log = createLogger({ level: process.env.LOG_LEVEL ?? 'warn' })
  const app = await loadApplication(appFile)
  const topology = await loadTopology((await findTopology(appFile, String(given.values.topology))).file)
  const closers = new Closers()
  try {
    const databaseUrl = await databaseOf(topology, { dataFolder: dataFolderOf(), log }, closers, true)
    // Beside a deployment only the calls run here: what follows from them is its work.
    const does = await isDeployed(dataFolderOf()) ? 'calls' : 'background'
    const running = await boot({ app, topology, databaseUrl, dataFolder: dataFolderOf(), log, does, secret: Buffer.alloc(32), host: '127.0.0.1', port: 0 })
    closers.add(() => running.stop())
    const keyOf = callKeys()
    return await work((intent, input, callerId) => running.invoke({ intent, input, idempotencyKey: keyOf(intent, input, callerId), caller: callerId === undefined ? null : { id: callerId } }))
  } finally {
    await closers.close()
  }
}

/** The same calls have the same keys in the next run; which of several that are the same, their number tells. */
function callKeys(): (...call: Parameters<Invoke>) => string {
  const counts = new Map<string, number>()
  return (...call) => {
    const hash = createHash('sha256').update(JSON.stringify(call)).digest('base64url')
    const count = (counts.get(hash) ?? 0) + 1
    counts.set(hash, count)
    return `seed ${hash} ${count}`
  }
}
