#!/usr/bin/env node
/** The command `tenfold`: from the sources in a checkout, from dist when published. */
import { existsSync } from 'node:fs'

const source = new URL('../src/cli/main.ts', import.meta.url)
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(`tenfold needs Node 24 or newer; this is ${process.version}. The npm package 'node' brings one: npm install node@24, or npx -p node@24 -p tenfold tenfold …\n`)
  process.exit(1)
}
await import(existsSync(source) ? source.href : new URL('../cli/main.js', import.meta.url).href)
