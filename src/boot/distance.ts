/** How far away the nodes are: TENFOLD_NODE_DELAY_MS, for rehearsals (docs/autoscaling.md). */
import { fault } from '../base/errors.ts'
import { Distance } from '../drivers/process/distance.ts'

const delayMsMax = 10_000

/** Null unless the environment asks for it. `urls`: of the engines that nodes talk to over TCP. */
export function distanceOf({ dataFolder, urls }: { readonly dataFolder: string; readonly urls: readonly (string | null)[] }): Distance | null {
  const text = process.env.TENFOLD_NODE_DELAY_MS
  if (text === undefined) return null
  const delayMs = Number(text)
  if (!(delayMs >= 0 && delayMs <= delayMsMax)) throw fault('USAGE', `TENFOLD_NODE_DELAY_MS is '${text}': set it to milliseconds from 0 to ${delayMsMax}, one way, or leave it out`)
  const addresses = urls.flatMap(url => url === null ? [] : addressesOf(url))
  const elsewhere = addresses.find(({ host }) => !['127.0.0.1', 'localhost'].includes(host))
  if (elsewhere) throw fault('NOT_SUPPORTED', `TENFOLD_NODE_DELAY_MS puts nodes where they reach engines of this machine only, and ${elsewhere.host} is not here: leave it out, or let the topology start its engines`)
  return new Distance({ scope: dataFolder, delayMs, ports: [...new Set(addresses.map(({ port }) => port))] })
}

/** Of each server that a url names, by commas or as members. */
function addressesOf(text: string): readonly { readonly host: string; readonly port: number }[] {
  return text.split(',').flatMap((part, index) => {
    const url = URL.canParse(part) ? part : index > 0 ? `tcp://${part.replace(/^.*@/, '')}` : part
    const { hostname, port, searchParams } = new URL(url)
    const members = (searchParams.get('members') ?? '').split(',').filter(one => one !== '')
    return [{ host: hostname, port: Number(port) }, ...members.map(one => ({ host: one.slice(0, one.lastIndexOf(':')), port: Number(one.slice(one.lastIndexOf(':') + 1)) }))]
  })
}
