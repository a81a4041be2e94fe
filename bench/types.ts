/**
 * How long the compiler takes over a large application: generates one of 300 intents in 20
 * services, each calling another service, and prints the seconds that tsc needs for it, for
 * Tenfold with an empty application beside it.
 *
 *   node bench/types.ts [--intents 300] [--services 20] [--json]
 */
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { rootFolder } from './process.ts'
import { machineText } from './table.ts'

const { values: options } = parseArgs({ options: {
  intents: { type: 'string', default: '300' }, services: { type: 'string', default: '20' }, json: { type: 'boolean', default: false },
} })
const intents = Number(options.intents)
const services = Number(options.services)
const perService = Math.ceil(intents / services)

/** One service; every third intent is a command, and each calls the first query of the service before it. */
function serviceText(number: number): string {
  const name = `s${number}`
  const before = `s${(number + services - 1) % services}`
  const lines = [
    `import { service } from 'tenfold'`, `import { z } from 'zod'`, `import { query0 as other } from './${before}.ts'`,
    `export const ${name} = service('${name}').tables<{ thing: { id: string; label: string; price: number; sold_at: Date | null } }>()`,
    `const Thing = z.object({ id: z.string(), label: z.string().max(200), price: z.number().min(0), tags: z.array(z.object({ name: z.string(), weight: z.number().optional() })) })`,
    `export const changed = ${name}.event(z.object({ id: z.string(), at: z.number() }))`,
  ]
  for (let index = 0; index < perService; index++) {
    const common = `http: '${index % 3 === 1 ? 'POST' : 'GET'} /${name}/i${index}/:id', input: Thing.pick({ id: true }).extend({ field${index}: z.string().optional() }), output: z.object({ thing: Thing.nullable(), n${index}: z.number() }), key: ({ id }) => id`
    const body = `{ const near = await context.call(other, { id }); const row = await context.db.selectFrom('thing').select(['id', 'label', 'price']).where('id', '=', id).executeTakeFirst(); return { thing: row ? { ...row, tags: near.thing?.tags ?? [] } : null, n${index}: ${index} } }`
    if (index % 3 === 1) lines.push(`export const command${index} = ${name}.command({ ${common}, run: async (context, { id }) => { context.emit(changed, { id, at: 0 }); ${body.slice(1)} })`)
    // The first one calls nobody: a circle of inferred types has no beginning.
    else lines.push(`export const query${index} = ${name}.query({ ${common}, run: async (context, { id }) => ${index === 0 ? `({ thing: await context.db.selectFrom('thing').selectAll().where('id', '=', id).executeTakeFirst().then(row => row ? { ...row, tags: [] } : null), n0: 0 })` : body} })`)
  }
  return `${lines.join('\n')}\n`
}

function appText(names: readonly string[]): string {
  return `import { application, createClient } from 'tenfold'\nimport type { Topology } from 'tenfold'\n${names.map(name => `import * as ${name} from './${name}.ts'`).join('\n')}
export const app = application('large', { services: { ${names.join(', ')} } })
export const client = createClient(app, 'http://127.0.0.1:3000')
${names.map(name => `export const ${name}Answer = await client.${name}.query0({ id: '1' })`).join('\n')}
export type Large = Topology<typeof app>\n`
}

const configText = JSON.stringify({ extends: path.join(rootFolder, 'tsconfig.json'), compilerOptions: { noUnusedLocals: false }, include: ['.'], exclude: [] })

async function secondsFor(names: readonly string[]): Promise<number> {
  await mkdir(path.join(rootFolder, '.tenfold'), { recursive: true })
  // Inside the checkout, so that the package finds itself by its name.
  const folder = await mkdtemp(path.join(rootFolder, '.tenfold/types-'))
  try {
    await writeFile(path.join(folder, 'tsconfig.json'), configText)
    for (const [number, name] of names.entries()) await writeFile(path.join(folder, `${name}.ts`), serviceText(number))
    await writeFile(path.join(folder, 'app.ts'), appText(names))
    const before = performance.now()
    const { status, stdout } = spawnSync(process.execPath, [path.join(rootFolder, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`the generated application does not compile:\n${stdout.slice(0, 4_000)}`)
    return (performance.now() - before) / 1_000
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const names = Array.from({ length: services }, (_, index) => `s${index}`)
const empty = await secondsFor([])
const large = await secondsFor(names)
const figures = { intents: perService * services, services, seconds: Number(large.toFixed(2)), emptySeconds: Number(empty.toFixed(2)), machine: machineText() }
process.stdout.write(options.json ? `${JSON.stringify(figures)}\n` : `${figures.intents} intents in ${services} services: ${figures.seconds} s; an empty application: ${figures.emptySeconds} s; ${figures.machine}\n`)
