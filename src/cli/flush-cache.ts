/** `tenfold flush-cache`: every process of the running deployment forgets the answers it keeps. */
import { actOnDeployment } from './action.ts'
import { print } from './command.ts'
import type { CliCommand } from './command.ts'

interface Flushed { readonly flushed: readonly { readonly name: string; readonly replica: number }[] }

export const flushCache: CliCommand = {
  name: 'flush-cache',
  summary: 'make the running processes forget the answers they keep',
  help: `Asks the deployment that runs on the data folder to forget every kept answer, in all its processes
at once: for when rows were changed past the application. Each answer is read again by whoever asks
first, once in each process. A CDN in front keeps what it has.

Environment: ADMIN_PORT (4000) and TENFOLD_DATA (.tenfold) of the deployment.`,
  options: {},
  async run(given) {
    const { flushed } = await actOnDeployment<Flushed>('/flush-cache')
    print(given, { flushed }, flushed.length === 0 ? 'no process keeps answers' : flushed.map(({ name, replica }) => `${name} ${replica} has forgotten its answers`).join('\n'))
    return 0
  },
}
