/**
 * Nodes far away, for rehearsals on one machine: each in a network namespace of its own (Linux,
 * root), from which it reaches the engines it is told of and nothing else, over a line (wire.ts)
 * on which everything takes its time. All addresses stay what they are.
 *
 * What goes over Unix sockets, as the embedded Redis does, has no distance.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { fault } from '../../base/errors.ts'
import { after } from '../../base/time.ts'
import type { WirePlan, WireReady } from './wire.ts'

export interface DistanceOptions {
  /** Tells the namespaces of one owner from those of others; a data folder. */
  readonly scope: string
  /** One way. */
  readonly delayMs: number
  readonly ports: readonly number[]
}

/** Where one process runs, and is started again. */
export interface Place {
  /** What enters the place, before the program and its arguments. */
  readonly prefix: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Where others reach it, on this machine. */
  readonly port: number
  close(): Promise<void>
}

/** In a namespace of its own nobody else has it. */
const nodePort = 3_000
const readyMs = 10_000
const wireFile = fileURLToPath(new URL(`./wire${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url))

function ip(...argv: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('ip', argv, { encoding: 'utf8' })
  if (error || status !== 0) throw fault('NOT_SUPPORTED', `nodes are to be far away (TENFOLD_NODE_DELAY_MS), which takes network namespaces, and 'ip ${argv.join(' ')}' says: ${(error?.message ?? stderr).trim()}; start as root on Linux, with iproute2 and util-linux, or leave it out`)
  return stdout
}

export class Distance {
  readonly #options: DistanceOptions
  readonly #prefix: string
  #places = 0

  /** Throws NOT_SUPPORTED where there are no namespaces to be had. */
  constructor(options: DistanceOptions) {
    this.#options = options
    this.#prefix = `tf-${createHash('sha256').update(options.scope).digest('hex').slice(0, 8)}-`
    // What a killed owner has left.
    for (const line of ip('netns', 'list').split('\n')) if (line.startsWith(this.#prefix)) ip('netns', 'del', line.split(' ')[0]!)
    ip('netns', 'add', `${this.#prefix}try`)
    ip('netns', 'del', `${this.#prefix}try`)
  }

  async place(): Promise<Place> {
    const name = `${this.#prefix}${this.#places++}`
    const { delayMs, ports } = this.#options
    ip('netns', 'add', name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
    const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-wire-'))
    const plan: WirePlan = { folder, delayMs, ports, nodePort }
    const prefix = ['nsenter', `--net=/run/netns/${name}`]
    const ends: ChildProcess[] = []
    const close = async () => {
      await Promise.all(ends.map(end => new Promise<void>(resolve => { if (end.exitCode !== null || end.signalCode !== null) resolve(); else end.once('exit', () => resolve()); end.kill('SIGKILL') })))
      ip('netns', 'del', name)
      await rm(folder, { recursive: true, force: true })
    }
    try {
      // In this order: who comes in finds the other end there.
      const outside = await this.#end([process.execPath, wireFile, 'outside'], plan, ends)
      await this.#end([...prefix, process.execPath, wireFile, 'inside'], plan, ends)
      return { prefix, env: { TENFOLD_PORT: String(nodePort) }, port: outside.port, close }
    } catch (error) {
      await close()
      throw error
    }
  }

  #end([program, ...argv]: readonly string[], plan: WirePlan, ends: ChildProcess[]): Promise<WireReady> {
    const child = spawn(program!, [...argv, JSON.stringify(plan)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true })
    ends.push(child)
    return new Promise((resolve, reject) => {
      const fail = (how: string) => reject(fault('UNAVAILABLE', `the line to a node that is far away ${how}`))
      const cancel = after(readyMs, () => fail('was not there in time'))
      child.once('message', message => { cancel(); resolve(message as WireReady) })
      child.once('error', error => { cancel(); fail(`cannot be laid: ${error.message}`) }).once('exit', code => { cancel(); fail(`ended with ${code}`) })
    })
  }
}
