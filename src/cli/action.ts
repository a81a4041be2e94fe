/** What a command has the running deployment do, through its admin port. */
import { fault } from '../base/errors.ts'
import { nodeHttp } from '../base/node-http.ts'
import { readAdminToken } from '../boot/deployment.ts'
import { dataFolderOf, portOf } from './command.ts'

interface Reply { readonly status: number; readonly body: unknown }

/** Asks the deployment of TENFOLD_DATA and ADMIN_PORT. */
export async function actOnDeployment<Answer>(action: string): Promise<Answer> {
  const dataFolder = dataFolderOf()
  const token = await readAdminToken(dataFolder)
  if (token === null) throw fault('USAGE', `no deployment has run on ${dataFolder}; name its folder with TENFOLD_DATA`)
  const { status, body } = await post(portOf('ADMIN_PORT') ?? 4000, action, token)
  if (status !== 200) throw fault(status === 401 ? 'USAGE' : status === 409 ? 'CONFLICT' : 'UNAVAILABLE', (body as { message?: string }).message)
  return body as Answer
}

/** Not fetch: that gives up after five minutes, and many processes may take longer. */
function post(port: number, path: string, token: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = nodeHttp.request({ host: '127.0.0.1', port, path, method: 'POST', headers: { authorization: `Bearer ${token}` } }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('error', reject)
      response.on('end', () => {
        try { resolve({ status: response.statusCode!, body: JSON.parse(text) as unknown }) } catch { reject(fault('USAGE', `what answers at the admin port ${port} is no deployment of Tenfold; set ADMIN_PORT to the deployment's`)) }
      })
    })
    request.on('error', error => reject(fault('USAGE', `no deployment answers at the admin port ${port} (${error.message}); start one, or set ADMIN_PORT to the port it has`)))
    request.end()
  })
}
