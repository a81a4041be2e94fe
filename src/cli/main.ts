/** The command line: finds the command, reads its options, and words every failure for people. */
import { parseArgs } from 'node:util'
import { errorTable, fault, isTenfoldError } from '../base/errors.ts'
import { advise } from './advise.ts'
import { alerts } from './alerts.ts'
import { check } from './check.ts'
import { client } from './client.ts'
import type { CliCommand } from './command.ts'
import { console } from './console.ts'
import { dev } from './dev.ts'
import { doctor } from './doctor.ts'
import { flushCache } from './flush-cache.ts'
import { init } from './init.ts'
import { load } from './load.ts'
import { logs } from './logs.ts'
import { migrate } from './migrate.ts'
import { restart } from './restart.ts'
import { seed } from './seed.ts'
import { start } from './start.ts'

export const commands: readonly CliCommand[] = [init, dev, start, restart, flushCache, console, check, migrate, seed, client, load, doctor, advise, alerts, logs]

export function helpOf(command?: CliCommand): string {
  if (command) return `tenfold ${command.name}: ${command.summary}\n\n${command.help}\n  --json            print the result as JSON\n  --help            this text`
  const width = Math.max(...commands.map(one => one.name.length))
  return `usage: tenfold <command> [options]\n\n${commands.map(one => `  ${one.name.padEnd(width)}  ${one.summary}`).join('\n')}\n\n'tenfold <command> --help' tells more.`
}

export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(`${helpOf()}\n`)
    return name === undefined ? 2 : 0
  }
  const command = commands.find(one => one.name === name)
  if (!command) throw fault('USAGE', `there is no command '${name}'\n\n${helpOf()}`)
  const { values, positionals } = read(command, rest)
  if (values.help) {
    process.stdout.write(`${helpOf(command)}\n`)
    return 0
  }
  const [unexpected] = positionals.slice(command.positional ? 1 : 0)
  if (unexpected !== undefined) throw fault('USAGE', `'tenfold ${name}' takes no '${unexpected}'\n\n${helpOf(command)}`)
  return command.run({ values, positionals })
}

function read(command: CliCommand, argv: readonly string[]) {
  try {
    const options = { ...command.options, help: { type: 'boolean' }, json: { type: 'boolean' } } as const
    return parseArgs({ args: [...argv], allowPositionals: true, options }) as { values: Record<string, string | boolean | undefined>; positionals: string[] }
  } catch (error) {
    throw fault('USAGE', `${(error as Error).message}\n\n${helpOf(command)}`)
  }
}

if (import.meta.main || process.argv[1]?.endsWith('tenfold.mjs') || process.argv[1]?.endsWith('/tenfold')) {
  main(process.argv.slice(2)).then(code => { process.exitCode = code; if (code !== 0) process.exit(code) }, (error: unknown) => {
    if (!isTenfoldError(error)) throw error
    const hint = errorTable[error.code].help
    process.stderr.write(`${error.message}\n${error.code === 'USAGE' ? '' : `${hint}\n`}`)
    process.exit(error.code === 'USAGE' ? 2 : 1)
  })
}
