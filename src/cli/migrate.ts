/** `tenfold migrate`: brings the database up to date without serving. */
import { createLogger } from '../base/log.ts'
import { Closers } from '../base/lifecycle.ts'
import { databaseOf } from '../boot/database.ts'
import { findTopology, loadApplication, loadTopology } from '../boot/load.ts'
import { readMigrations } from '../boot/migrations.ts'
import { appFileOf, appOption, dataFolderOf, print } from './command.ts'
import type { CliCommand } from './command.ts'

export const migrate: CliCommand = {
  name: 'migrate',
  summary: 'bring the database up to date',
  help: `Runs the migrations that have not run yet, checks every table against the key rules, and ends.

  --app FILE        the application (app.ts)
  --topology NAME   whose database (1-monolith)`,
  options: { ...appOption, topology: { type: 'string', default: '1-monolith' } },
  async run(given) {
    // Here and not above: the other commands need no drivers.
    const { driversOf } = await import('../boot/registry.ts')
    const appFile = appFileOf(given)
    const app = await loadApplication(appFile)
    const topology = await loadTopology((await findTopology(appFile, String(given.values.topology))).file)
    const log = createLogger({ level: process.env.LOG_LEVEL ?? 'warn' })
    const closers = new Closers()
    try {
      const { database } = driversOf(topology.ports, { databaseUrl: await databaseOf(topology, { dataFolder: dataFolderOf(), log }, closers, true), log, dataFolder: dataFolderOf(), secret: Buffer.alloc(32) })
      await database.open()
      closers.add(() => database.close())
      const { applied, tables } = await database.migrate(await readMigrations(app))
      const faults = Object.values(tables).flat().flatMap(table => table.faults)
      const lines = [...applied.map(one => `ran ${one.service}/${one.name}`), ...faults.map(one => `- ${one}`)]
      print(given, { applied, faults }, lines.length > 0 ? lines.join('\n') : 'the database is up to date')
      return faults.length === 0 ? 0 : 1
    } finally {
      await closers.close()
    }
  },
}
