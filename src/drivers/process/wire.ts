/**
 * One end of the line between a node in a network namespace of its own and everybody else, in a
 * process of its own. The two ends meet at Unix sockets in a folder, which no namespace divides.
 *
 *   outside: 127.0.0.1:(any) ─▶ FOLDER/node        FOLDER/PORT ─▶ 127.0.0.1:PORT    each way takes DELAY
 *   inside:  FOLDER/node ─▶ 127.0.0.1:(nodePort)   127.0.0.1:PORT ─▶ FOLDER/PORT
 *
 * Started with `outside` or `inside`, and the plan as JSON; says `ready`, with the port outside.
 */
import net from 'node:net'
import path from 'node:path'
import { after } from '../../base/time.ts'

export interface WirePlan {
  readonly folder: string
  /** One way. */
  readonly delayMs: number
  /** Of engines on this machine that the node may reach. */
  readonly ports: readonly number[]
  /** Where the node listens, in its namespace. */
  readonly nodePort: number
}
export interface WireReady { readonly type: 'ready'; readonly port: number }

type Target = net.NetConnectOpts
const loopback = (port: number): Target => ({ host: '127.0.0.1', port })
const meeting = (folder: string, name: string): Target => ({ path: path.join(folder, name) })

/** What arrives at one goes on at the other, so much later and in order. */
function pump(from: net.Socket, to: net.Socket, delayMs: number): void {
  const later = (work: () => void) => delayMs > 0 ? void after(delayMs, work) : work()
  from.on('data', chunk => later(() => {
    if (to.destroyed || to.write(chunk)) return
    from.pause()
    to.once('drain', () => from.resume())
  }))
  from.on('end', () => later(() => to.end()))
  from.on('error', () => later(() => to.destroy()))
  from.on('close', () => later(() => { if (!to.writableEnded) to.destroy() }))
}

function serve(at: net.ListenOptions, target: Target, delayMs: number): Promise<net.Server> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, near => {
    const far = net.connect({ ...target, allowHalfOpen: true, noDelay: true } as Target)
    pump(near, far, delayMs)
    pump(far, near, delayMs)
  })
  return new Promise((resolve, reject) => server.once('error', reject).listen(at, () => resolve(server)))
}

async function main([side, text]: readonly string[]): Promise<void> {
  const { folder, delayMs, ports, nodePort } = JSON.parse(text!) as WirePlan
  const isOutside = side === 'outside'
  for (const port of ports) {
    if (isOutside) await serve({ path: path.join(folder, String(port)) }, loopback(port), delayMs)
    else await serve({ host: '127.0.0.1', port }, meeting(folder, String(port)), 0)
  }
  const door = isOutside ? await serve({ host: '127.0.0.1', port: 0 }, meeting(folder, 'node'), delayMs) : await serve({ path: path.join(folder, 'node') }, loopback(nodePort), 0)
  const { port = nodePort } = door.address() as Partial<net.AddressInfo>
  process.send!({ type: 'ready', port } satisfies WireReady)
}

// Nobody else would end it.
process.on('disconnect', () => process.exit())
process.on('SIGINT', () => {})
if (import.meta.main) await main(process.argv.slice(2))
