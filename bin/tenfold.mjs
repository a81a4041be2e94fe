#!/usr/bin/env node
/** The command `tenfold`: from the sources in a checkout, from dist when published. */
import { existsSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const source = new URL('../src/cli/main.ts', import.meta.url)
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(`tenfold needs Node 24 or newer; this is ${process.version}. The npm package 'node' brings one: npm install node@24, or npx -p node@24 -p tenfold tenfold …\n`)
  process.exit(1)
}
// What was compiled is kept from one start to the next, and the processes that this one starts do the same.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/tenfold', import.meta.url))
enableCompileCache(process.env.NODE_COMPILE_CACHE)
await import(existsSync(source) ? source.href : new URL('../cli/main.js', import.meta.url).href)
