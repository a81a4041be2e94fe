/** `tenfold restart`: the running deployment replaces its processes, one at a time, while it serves. */
import { fault } from '../base/errors.ts'
import { nodeHttp } from '../base/node-http.ts'
import { readAdminToken } from '../boot/deployment.ts'
import { dataFolderOf, portOf, print } from './command.ts'
import type { CliCommand } from './command.ts'

interface Answer { readonly status: number; readonly body: { readonly message?: string; readonly processes?: readonly { readonly name: string; readonly replica: number; readonly pid: number | null }[] } }

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
    const dataFolder = dataFolderOf()
    const token = await readAdminToken(dataFolder)
    if (token === null) throw fault('USAGE', `no deployment has run on ${dataFolder}; name its folder with TENFOLD_DATA`)
    const { status, body } = await post(portOf('ADMIN_PORT') ?? 4000, '/restart', token)
    if (status !== 200) throw fault(status === 401 ? 'USAGE' : status === 409 ? 'CONFLICT' : 'UNAVAILABLE', body.message)
    const processes = body.processes ?? []
    print(given, { processes }, processes.map(({ name, replica, pid }) => `${name} ${replica} is now process ${pid}`).join('\n'))
    return 0
  },
}

/** Not fetch: that gives up after five minutes, and many processes may take longer. */
function post(port: number, path: string, token: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = nodeHttp.request({ host: '127.0.0.1', port, path, method: 'POST', headers: { authorization: `Bearer ${token}` } }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('error', reject)
      response.on('end', () => {
        try { resolve({ status: response.statusCode!, body: JSON.parse(text) as Answer['body'] }) } catch { reject(fault('USAGE', `what answers at the admin port ${port} is no deployment of Tenfold; set ADMIN_PORT to the deployment's`)) }
      })
    })
    request.on('error', error => reject(fault('USAGE', `no deployment answers at the admin port ${port} (${error.message}); start one, or set ADMIN_PORT to the port it has`)))
    request.end()
  })
}
