/** `tenfold logs`: the lines of all processes of a deployment, from the files in its data folder. */
import { createReadStream, existsSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { StringDecoder } from 'node:string_decoder'
import { fault } from '../base/errors.ts'
import { now, sleep } from '../base/time.ts'
import { logFileOf, logFolderOf } from '../boot/log-book.ts'
import { levels, parseLine, passes, wordLine } from '../boot/log-line.ts'
import type { LogFilter } from '../boot/log-line.ts'
import { dataFolderOf } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'

const pollMs = 200
const filesMax = 100
/** Before what comes, unless --since says more. */
const linesBeforeFollowing = 20
const chunkBytes = 65_536

export const logs: CliCommand = {
  name: 'logs',
  summary: 'show the log of all processes',
  help: `Prints what the processes of the deployment on the data folder have logged, the oldest first: all
that is kept, or with --follow the last ${linesBeforeFollowing} lines and then what comes. Works while it runs and
afterwards. What is not from the logger (console.log, a stack at a crash) is there too.

  --follow          go on with what comes, until Ctrl-C
  --intent NAME     of one intent: articles.publish
  --level LEVEL     at least this: trace, debug, info, warn, error, fatal
  --trace ID        of one trace, in all processes
  --process NAME    of one process (web.0), or of all of that name (web); 'supervisor'
  --since TIME      not older: 30s, 10m, 2h, 1d, or a date and time

Environment: TENFOLD_DATA (.tenfold) of the deployment. LOG_LEVEL of the deployment decides what is logged at all.`,
  options: {
    follow: { type: 'boolean' }, intent: { type: 'string' }, level: { type: 'string' }, trace: { type: 'string' }, process: { type: 'string' }, since: { type: 'string' },
  },
  async run(given) {
    const folder = logFolderOf(dataFolderOf())
    const current = logFileOf(folder, 0)
    const [filter, show] = [filterOf(given), printerOf(given)]
    if (!existsSync(current)) throw fault('USAGE', `no deployment has logged into ${folder}; name its data folder with TENFOLD_DATA`)
    // Who reads may leave: tenfold logs | head.
    process.stdout.on('error', () => process.exit(0))
    const follow = given.values.follow === true
    const wanted = (text: string) => { const line = parseLine(text); return line && passes(line, filter) ? line : null }
    const before: string[] = []
    const keepLast = follow && filter.sinceMs === undefined
    // Opened before the past is read, so that nothing falls between.
    const tail = follow ? await Tail.open(current) : null
    await past(folder, tail?.startBytes, text => {
      if (wanted(text) === null) return
      if (!keepLast) return show(text)
      before.push(text)
      if (before.length > linesBeforeFollowing) before.shift()
    })
    for (const text of before) show(text)
    await tail?.run(text => { if (wanted(text)) show(text) })
    return 0
  },
}

function filterOf({ values }: Arguments): LogFilter {
  const text = (name: string) => typeof values[name] === 'string' ? values[name] : undefined
  const level = text('level')
  if (level !== undefined && !(level in levels)) throw fault('USAGE', `--level is '${level}'; it may be ${Object.keys(levels).join(', ')}`)
  return { level: level === undefined ? undefined : levels[level], intent: text('intent'), trace: text('trace'), process: text('process'), sinceMs: sinceOf(text('since')) }
}

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function sinceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? []
  const atMs = unit ? now() - Number(count) * unitsMs[unit]! : Date.parse(text)
  if (Number.isNaN(atMs)) throw fault('USAGE', `--since is '${text}'; write 30s, 10m, 2h, 1d, or a date and time like 2026-01-31T12:00:00Z`)
  return atMs
}

function printerOf({ values }: Arguments): (text: string) => void {
  const isColoured = process.stdout.isTTY === true && !process.env.NO_COLOR
  return text => { process.stdout.write(`${values.json ? text : wordLine(parseLine(text)!, isColoured)}\n`) }
}

/** Every line that is kept, up to a place in the newest file. */
async function past(folder: string, untilBytes: number | undefined, take: (text: string) => void): Promise<void> {
  for (let age = filesMax; age >= 0; age--) {
    const file = logFileOf(folder, age)
    if (!existsSync(file) || (age === 0 && untilBytes === 0)) continue
    const input = createReadStream(file, age === 0 && untilBytes !== undefined ? { end: untilBytes - 1 } : {})
    for await (const text of createInterface({ input })) take(text)
  }
}

/** Reads on where a file grows; when it was put aside, in the new one. */
class Tail {
  readonly startBytes: number
  readonly #file: string
  #handle: FileHandle
  #at: number
  #rest = ''
  #decoder = new StringDecoder()

  private constructor(file: string, handle: FileHandle, startBytes: number) {
    this.#file = file
    this.#handle = handle
    this.#at = this.startBytes = startBytes
  }

  static async open(file: string): Promise<Tail> {
    const handle = await open(file)
    return new Tail(file, handle, (await handle.stat()).size)
  }

  async run(take: (text: string) => void): Promise<never> {
    for (;;) {
      const newest = await stat(this.#file).catch(() => null)
      await this.#read(take)
      if (newest && newest.ino !== (await this.#handle.stat()).ino) await this.#turn(take)
      else await sleep(pollMs)
    }
  }

  async #turn(take: (text: string) => void): Promise<void> {
    await this.#read(take)
    await this.#handle.close()
    this.#handle = await open(this.#file)
    this.#at = 0
  }

  async #read(take: (text: string) => void): Promise<void> {
    const buffer = Buffer.alloc(chunkBytes)
    for (;;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, chunkBytes, this.#at)
      if (bytesRead === 0) return
      this.#at += bytesRead
      const lines = (this.#rest + this.#decoder.write(buffer.subarray(0, bytesRead))).split('\n')
      this.#rest = lines.pop()!
      for (const line of lines) take(line)
    }
  }
}
