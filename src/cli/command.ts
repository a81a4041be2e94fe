/** What every command of the CLI is made of, and what they share: options, the application's file, output. */
import path from 'node:path'
import { existsSync } from 'node:fs'
import type { ParseArgsOptionsConfig } from 'node:util'
import { fault } from '../base/errors.ts'

export interface Arguments {
  readonly values: Readonly<Record<string, string | boolean | undefined>>
  readonly positionals: readonly string[]
}

export interface CliCommand {
  readonly name: string
  readonly summary: string
  /** Lines below the usage line of `--help`. */
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  /** What a word without an option means, where the command takes one. */
  readonly positional?: string
  /** Resolves with the exit code. */
  run(given: Arguments): Promise<number>
}

export const appOption = { app: { type: 'string' } } as const satisfies ParseArgsOptionsConfig

/** The application's file: --app, else app.ts here. */
export function appFileOf({ values }: Arguments): string {
  const file = path.resolve(typeof values.app === 'string' ? values.app : 'app.ts')
  if (!existsSync(file)) throw fault('USAGE', `there is no application at ${file}; name it with --app, or make one with 'tenfold init'`)
  return file
}

export const dataFolderOf = (): string => path.resolve(process.env.TENFOLD_DATA ?? '.tenfold')

export function portOf(name: string): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === '') return undefined
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw fault('USAGE', `${name} is '${text}'; write a port number from 0 to 65535`)
  return port
}

/** Prints one result: JSON with --json, else the text. */
export function print({ values }: Arguments, value: unknown, text: string): void {
  process.stdout.write(`${values.json ? JSON.stringify(value, null, 2) : text}\n`)
}
