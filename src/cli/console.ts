/** `tenfold console`: where the console of a deployment is, and the token that opens it from elsewhere. */
import { fault } from '../base/errors.ts'
import { readAdminToken } from '../boot/deployment.ts'
import { dataFolderOf, portOf, print } from './command.ts'
import type { CliCommand } from './command.ts'

export const console: CliCommand = {
  name: 'console',
  summary: 'print where the console is, and its token',
  help: `The console is a page at the admin port: the map of what runs, intents, traces, the database, jobs
and events, logs, load and advice. On loopback it is open to this machine; where ADMIN_HOST is set,
or ADMIN_LOGIN=always, it asks for the token that this prints. Whoever has it may restart the
deployment and read what it keeps: docs/console.md.

Environment: ADMIN_PORT (4000) and TENFOLD_DATA (.tenfold) of the deployment.`,
  options: {},
  async run(given) {
    const dataFolder = dataFolderOf()
    const token = await readAdminToken(dataFolder)
    if (token === null) throw fault('USAGE', `no deployment has run on ${dataFolder}; name its folder with TENFOLD_DATA`)
    const url = `http://127.0.0.1:${portOf('ADMIN_PORT') ?? 4000}/`
    print(given, { url, token }, `console  ${url}\ntoken    ${token}`)
    return 0
  },
}
