/** `tenfold restart`: the running deployment replaces its processes, one at a time, while it serves. */
import { actOnDeployment } from './action.ts'
import { print } from './command.ts'
import type { CliCommand } from './command.ts'

interface Restarted { readonly processes: readonly { readonly name: string; readonly replica: number; readonly pid: number | null }[] }

export const restart: CliCommand = {
  name: 'restart',
  summary: 'replace the running processes without failing a request',
  help: `Asks the deployment that runs on the data folder to replace its processes, one at a time: the
new one is ready before the old one is drained. They run the source as it is now, so this is also
how a change is deployed. One that does not start ends the restart, and the old ones go on.
The topology's processes and ports stay as they were at 'tenfold start'.

Environment: ADMIN_PORT (4000) and TENFOLD_DATA (.tenfold) of the deployment.`,
  options: {},
  async run(given) {
    const { processes } = await actOnDeployment<Restarted>('/restart')
    print(given, { processes }, processes.map(({ name, replica, pid }) => `${name} ${replica} is now process ${pid}`).join('\n'))
    return 0
  },
}
