/**
 * The log of a deployment as one stream: what the supervisor logs and what its processes print
 * goes to the terminal as before, into files of bounded size in the data folder, and to who
 * listens at the admin port. docs/decisions/0015.
 */
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { pino } from 'pino'
import { now } from '../base/time.ts'
import { lineOf, parseLine, passes } from './log-line.ts'
import type { LogFilter, LogLine } from './log-line.ts'

export interface LogBookOptions {
  readonly fileBytesMax?: number
  /** The current one and those before it. */
  readonly filesMax?: number
}

type Destination = ReturnType<typeof pino.destination>

const standard = { fileBytesMax: 8_388_608, filesMax: 5 }
/** What waits to be written is dropped beyond this: a terminal that is not read stops nobody. */
const waitingBytesMax = 4_194_304
const lineCharactersMax = 65_536
const ringMax = 2_000

export const logFolderOf = (dataFolder: string): string => path.join(dataFolder, 'logs')
/** Newest first: `tenfold.jsonl`, `tenfold.1.jsonl`, … */
export const logFileOf = (folder: string, age: number): string => path.join(folder, age === 0 ? 'tenfold.jsonl' : `tenfold.${age}.jsonl`)

export class LogBook {
  readonly #options: Required<LogBookOptions>
  readonly #terminal: readonly Destination[]
  readonly #ring: string[] = []
  readonly #listeners = new Set<(line: LogLine) => void>()
  #folder: string | undefined
  #file: Destination | undefined
  #fileBytes = 0

  constructor(options: LogBookOptions = {}) {
    this.#options = { ...standard, ...options }
    this.#terminal = [1, 2].map(dest => pino.destination({ dest, sync: false, maxLength: waitingBytesMax }))
  }

  /** Where the supervisor's own logger writes. */
  readonly supervisor = { write: (text: string): void => this.#print('supervisor', true, text.trimEnd()) }

  /** From here on lines go into files too. */
  open(dataFolder: string): void {
    if (this.#file) return
    const folder = this.#folder = logFolderOf(dataFolder)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const dest = logFileOf(folder, 0)
    this.#fileBytes = existsSync(dest) ? statSync(dest).size : 0
    this.#file = pino.destination({ dest, append: true, sync: false, mode: 0o600, maxLength: waitingBytesMax })
    // A full disk must not end a deployment: the terminal and the listeners still have the lines.
    this.#file.on('error', () => {})
    for (const line of this.#ring) this.#write(line)
  }

  close(): void {
    this.#file?.end()
    this.#file = undefined
  }

  /** Takes what a process prints. */
  follow(process: string, stdout: Readable, stderr: Readable): void {
    for (const [stream, isError] of [[stdout, false], [stderr, true]] as const) {
      let rest = ''
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop()!
        if (rest.length > lineCharactersMax) { lines.push(rest); rest = '' }
        for (const line of lines) this.#print(process, isError, line)
      }).on('end', () => { if (rest !== '') this.#print(process, isError, rest) }).on('error', () => {})
    }
  }

  /** The newest lines, the oldest of them first. */
  recent(filter: LogFilter, limit: number): LogLine[] {
    const found: LogLine[] = []
    for (let at = this.#ring.length - 1; at >= 0 && found.length < limit; at--) {
      const line = parseLine(this.#ring[at]!)
      if (line && passes(line, filter)) found.push(line)
    }
    return found.reverse()
  }

  /** Calls back for every line from now on; the returned function ends it. */
  listen(listener: (line: LogLine) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  #print(process: string, isError: boolean, text: string): void {
    this.#terminal[isError ? 1 : 0]!.write(`${text}\n`)
    if (text.trim() === '') return
    const line = lineOf(process, isError, text, now())
    this.#ring.push(line)
    if (this.#ring.length > ringMax) this.#ring.shift()
    this.#write(line)
    if (this.#listeners.size === 0) return
    const parsed = parseLine(line)
    if (parsed) for (const listener of this.#listeners) listener(parsed)
  }

  #write(line: string): void {
    if (!this.#file) return
    if (this.#fileBytes >= this.#options.fileBytesMax) this.#rotate()
    this.#file.write(`${line}\n`)
    this.#fileBytes += line.length + 1
  }

  #rotate(): void {
    const folder = this.#folder!
    try {
      for (let age = this.#options.filesMax - 2; age >= 0; age--) {
        if (existsSync(logFileOf(folder, age))) renameSync(logFileOf(folder, age), logFileOf(folder, age + 1))
      }
      this.#file!.reopen()
    } catch (error) {
      // Somebody tidied the folder; what is lost is old lines.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    this.#fileBytes = 0
  }
}
