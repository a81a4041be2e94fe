/**
 * The network between processes of one machine, cut: packets to or from a port are dropped
 * without a word (nftables, a table of this test's own), so that nobody is told; on a Unix
 * socket, where there are no packets, a relay takes the socket's place and stops passing on.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import net from 'node:net'
import { skipWithout } from '../../scripts/engines.ts'
import type { Site } from './site.ts'

export type Direction = 'both ways' | 'towards it' | 'from it'

/** Why packets cannot be dropped here, or false. */
export const skipCut: string | false = process.getuid?.() !== 0 ? 'only root may drop packets' : skipWithout('nftables')

const prefix = 'tenfold_test_'
const table = `${prefix}${process.pid}`
const uidOfServers = 65_534
let rules = 0

function nft(...argv: readonly string[]): string { return execFileSync('nft', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }) }

/** Nothing may stay cut when this process ends, nor where one was killed that could not see to it. */
function sweep(): void {
  for (const [, pid] of nft('list', 'tables').matchAll(new RegExp(`table inet ${prefix}(\\d+)`, 'g'))) {
    if (Number(pid) === process.pid || !existsSync(`/proc/${pid}`)) nft('delete', 'table', 'inet', `${prefix}${pid}`)
  }
}

function begin(): void {
  sweep()
  process.on('exit', sweep)
  process.once('SIGTERM', () => process.exit(143))
}

function drop(...matches: readonly (readonly string[])[]): () => void {
  if (rules === 0) begin()
  const chain = `cut_${rules++}`
  nft('add', 'table', 'inet', table)
  nft('add', 'chain', 'inet', table, chain, '{ type filter hook output priority 0; }')
  for (const match of matches) nft('add', 'rule', 'inet', table, chain, ...match, 'drop')
  return () => { nft('flush', 'chain', 'inet', table, chain); nft('delete', 'chain', 'inet', table, chain) }
}

/** The returned function lets everything pass again. */
export function cutPort(port: number, direction: Direction): () => void {
  const sides = [...direction === 'from it' ? [] : ['dport'], ...direction === 'towards it' ? [] : ['sport']]
  return drop(...sides.map(side => ['tcp', side, String(port)]))
}

/** Between the primary and its replicas only: the connections of now, and those that the servers would make anew. */
export async function cutReplication(site: Site): Promise<() => void> {
  const rows = await site.sql<{ port: number }>('SELECT client_port AS port FROM pg_stat_replication')
  const primary = String(await site.portOf(await site.primary()))
  return drop(...rows.flatMap(({ port }) => ['dport', 'sport'].map(side => ['tcp', side, String(port)])), ['meta', 'skuid', String(uidOfServers), 'tcp', 'dport', primary])
}

export interface Relay {
  cut(direction: Direction): () => void
  close(): Promise<void>
}

/** Takes the place of a socket; who is connected already stays connected past it. */
export async function relayAt(socketFile: string): Promise<Relay> {
  const behind = `${socketFile}.behind`
  await rename(socketFile, behind)
  const pairs = new Set<readonly [net.Socket, net.Socket]>()
  let held: Direction | null = null
  const apply = () => {
    for (const [client, engine] of pairs) {
      if (held === null || held === 'from it') client.resume()
      else client.pause()
      if (held === null || held === 'towards it') engine.resume()
      else engine.pause()
    }
  }
  const server = net.createServer(client => {
    const engine = net.connect(behind)
    const pair = [client, engine] as const
    pairs.add(pair)
    for (const [one, other] of [[client, engine], [engine, client]] as const) {
      one.on('data', data => other.write(data)).on('error', () => {}).on('close', () => { pairs.delete(pair); other.destroy() })
    }
    apply()
  })
  await new Promise<void>(resolve => { server.listen(socketFile, resolve) })
  return {
    cut(direction) {
      held = direction
      apply()
      return () => { held = null; apply() }
    },
    async close() {
      server.close()
      for (const pair of pairs) for (const one of pair) one.destroy()
      // A server that listens takes its file along when it closes.
      await rm(socketFile, { force: true })
      await rename(behind, socketFile).catch(() => {})
    },
  }
}
