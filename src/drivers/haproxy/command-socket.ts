/** What HAProxy is told and asked at run time, over its Unix socket: one command for each connection. */
import net from 'node:net'
import { fault } from '../../base/errors.ts'
import { after } from '../../base/time.ts'

const timeoutMs = 2_000

/** The answer as text; rejects with UNAVAILABLE when HAProxy is away. */
export function command(socketFile: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect(socketFile)
    const cancel = after(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    socket.setEncoding('utf8')
    socket.on('data', chunk => { text += chunk }).on('end', () => resolve(text.trim()))
    socket.on('error', error => reject(fault('UNAVAILABLE', `HAProxy does not answer '${line.split(' ', 2).join(' ')}': ${error.message}`, { cause: error })))
    socket.on('close', () => { cancel(); reject(fault('UNAVAILABLE', 'HAProxy closed the connection before it answered')) })
    socket.end(`${line}\n`)
  })
}

export type StatRow = Readonly<Record<string, string>>

/** Of `show stat`: comma-separated, the first line names the columns. */
export function statRows(text: string): StatRow[] {
  const [head = '', ...lines] = text.split('\n').filter(line => line !== '')
  const names = head.replace(/^# /, '').split(',')
  return lines.map(line => {
    const values = line.split(',')
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
  })
}
