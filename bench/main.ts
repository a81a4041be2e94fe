/**
 * The bench: Conduit on Tenfold against the hand-written reference, over one Postgres and the
 * same data, after both were shown to answer the same bytes.
 *
 *   npm run bench -- [--rounds 5] [--seconds 3] [--rows list,article] [--connections 32] [--json] [--self-test]
 */
import { parseArgs } from 'node:util'
import { openArena } from './arena.ts'
import type { Arena } from './arena.ts'
import { compare } from './equality.ts'
import { runRounds } from './rounds.ts'
import { rows } from './rows.ts'
import { commitText, machineText, tableText, writeResult } from './table.ts'
import type { RowResult } from './table.ts'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    rows: { type: 'string' },
    json: { type: 'boolean', default: false },
    'self-test': { type: 'boolean', default: false },
    /** Measures even when answers differ: while an endpoint is being built. */
    'allow-differences': { type: 'boolean', default: false },
  },
})

const warmupMs = 500
const selfTest = options['self-test']
const rounds = Number(options.rounds)
const durationMs = Number(options.seconds) * 1_000
const connections = Number(options.connections)
const wanted = options.rows?.split(',')
const say = (text: string) => process.stderr.write(`${text}\n`)

for (const name of wanted ?? []) {
  if (name !== 'bare' && !rows.some(row => row.name === name)) throw new Error(`no row ${name}; there are bare, ${rows.map(row => row.name).join(', ')}`)
}

async function measureAll(arena: Arena): Promise<RowResult[]> {
  const results: RowResult[] = []
  const common = { rounds, durationMs, warmupMs, connections }
  if (!wanted || wanted.includes('bare')) {
    say('bare node:http …')
    const contender = { name: 'bare', url: arena.bare.url, pid: arena.bare.pid, requests: [{ method: 'GET', path: '/' }] }
    const [reference] = await runRounds([contender], { ...common, postgresPid: null })
    results.push({ name: 'bare', title: 'bare node:http', conduit: null, reference: reference!, ratio: null })
  }
  for (const row of rows) {
    if (wanted && !wanted.includes(row.name)) continue
    say(`${row.title} …`)
    const contenders = [arena.conduit, arena.reference].map(side => ({ name: side.name, url: side.url, pid: side.pid, requests: row.requests(side.subject) }))
    const [conduit, reference] = await runRounds(contenders, { ...common, connections: row.connections ?? connections, postgresPid: arena.postgresPid })
    results.push({ name: row.name, title: row.title, conduit: conduit!, reference: reference!, ratio: conduit!.requestsPerSecond / reference!.requestsPerSecond })
  }
  return results
}

async function main(): Promise<void> {
  say(selfTest ? 'starting two references …' : 'starting and seeding Conduit, copying its data to the reference …')
  const arena = await openArena(selfTest)
  try {
    const differences = await compare(arena.conduit, arena.reference)
    for (const { path, wanted: right, got } of differences) say(`${path} differs\n  reference: ${right}\n  conduit:   ${got}`)
    if (differences.length > 0 && !options['allow-differences']) throw new Error(`${differences.length} answers differ: nothing is measured`)
    say(`answers compared: ${differences.length} differ`)
    const result = { at: new Date().toISOString(), commit: commitText(), machine: machineText(), rounds, seconds: durationMs / 1_000, connections, selfTest, rows: await measureAll(arena) }
    const file = await writeResult(result)
    process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : `${tableText(result)}\n${result.machine}; ${file}\n`)
  } finally {
    await arena.close()
  }
}

await main()
