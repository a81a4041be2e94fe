/** `tenfold check`: finds faults in the declarations and topologies without starting anything. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { loadApplication, loadTopology } from '../boot/load.ts'
import { readMigrations } from '../boot/migrations.ts'
import { checkApplication, manifestOf } from '../model/manifest.ts'
import { checkTopology } from '../topology/plan.ts'
import { appFileOf, appOption, print } from './command.ts'
import type { CliCommand } from './command.ts'

export const check: CliCommand = {
  name: 'check',
  summary: 'find faults in the declarations and topologies',
  help: `Imports the application and lists every fault with its place and its mend. Starts nothing.
Tables are checked against the key rules when they are migrated: at start, or by 'tenfold migrate'.

  --app FILE        the application (app.ts)`,
  options: appOption,
  async run(given) {
    const appFile = appFileOf(given)
    const app = await loadApplication(appFile)
    const faults = checkApplication(app)
    await readMigrations(app).catch((error: Error) => { faults.push(error.message) })
    const folder = path.join(path.dirname(appFile), 'topologies')
    for (const name of (await readdir(folder).catch(() => [])).filter(one => one.endsWith('.ts')).sort()) {
      for (const one of checkTopology(app, await loadTopology(path.join(folder, name)))) faults.push(`topologies/${name}: ${one}`)
    }
    const { services, intents } = manifestOf(app)
    const good = `${app.name}: ${services.length} services, ${intents.length} intents, no faults`
    print(given, { faults, services: services.length, intents: intents.length }, faults.length === 0 ? good : faults.map(one => `- ${one}`).join('\n'))
    return faults.length === 0 ? 0 : 1
  },
}
