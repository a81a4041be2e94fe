/** `tenfold client`: writes a typed client as a file that stands alone. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fault } from '../base/errors.ts'
import { loadApplication } from '../boot/load.ts'
import { clientMark, clientSourceOf } from '../model/client-source.ts'
import { assertApplication } from '../model/manifest.ts'
import { appFileOf, appOption, print } from './command.ts'
import type { CliCommand } from './command.ts'

export const client: CliCommand = {
  name: 'client',
  summary: 'generate a typed client',
  help: `Writes TypeScript with the types of every call and a small fetch behind them, for programs that
do not have the application at hand. Without --out it is printed. A file is written over only
when it was generated before.

  --app FILE        the application (app.ts)
  --out FILE        where the client goes`,
  options: { ...appOption, out: { type: 'string' } },
  async run(given) {
    const app = await loadApplication(appFileOf(given))
    assertApplication(app)
    const { source, ...facts } = clientSourceOf(app)
    if (typeof given.values.out !== 'string') {
      print(given, { ...facts, source }, source.trimEnd())
      return 0
    }
    const file = path.resolve(given.values.out)
    const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw fault('USAGE', `${file} cannot be read (${error.code}); name a file with --out`)
    })
    if (before !== null && !before.startsWith(clientMark)) throw fault('USAGE', `${file} was not written by 'tenfold client' and is left as it is; name another file with --out, or delete it`)
    if (before !== source) {
      await writeFile(file, source).catch((error: NodeJS.ErrnoException) => { throw fault('USAGE', `${file} cannot be written (${error.code}); name a file in a folder that is there`) })
    }
    const lacking = facts.untyped.length === 0 ? '' : `\nunknown in it, because no JSON Schema tells them: ${facts.untyped.join(', ')}`
    print(given, { ...facts, file, changed: before !== source }, `${facts.calls} calls of ${facts.services.length} services in ${file}${before === source ? ' (unchanged)' : ''}${lacking}`)
    return 0
  },
}
