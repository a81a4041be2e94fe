/** Folders that are dear to make: one run of `npm test` makes each once, and every test that asks gets a copy. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'
import { sleep } from '../../src/base/time.ts'

const waitMs = 50

/** Set by scripts/test.ts, which also removes it: the folder that the files of one run share. */
let shared: Promise<string> | undefined

async function folderOfThisRun(): Promise<string> {
  if (process.env.TENFOLD_TEST_FOLDER) return process.env.TENFOLD_TEST_FOLDER
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-run-'))
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** A copy for the caller, who removes it. `make` is asked once per run, in whichever test comes first, and gives its folder away. */
export async function copyOfTemplate(name: string, make: () => Promise<string>): Promise<string> {
  const template = await templateIn(await (shared ??= folderOfThisRun()), name, make)
  const folder = await mkdtemp(path.join(os.tmpdir(), `tenfold-${name}-`))
  // The cluster belongs to another user when root runs this, so owners go along.
  await promisify(execFile)('cp', ['-a', `${template}/.`, folder])
  return folder
}

async function templateIn(folder: string, name: string, make: () => Promise<string>): Promise<string> {
  const [template, failed, claim] = [name, `${name}-failed`, `${name}-begun`].map(one => path.join(folder, one)) as [string, string, string]
  if (existsSync(template)) return template
  try { mkdirSync(claim) } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // Another test of this run has begun.
    while (!existsSync(template)) {
      if (existsSync(failed)) throw new Error(`the template '${name}' could not be made in another test of this run`)
      await sleep(waitMs)
    }
    return template
  }
  try {
    await rename(await make(), template)
    await chmod(folder, 0o755)
  } catch (error) {
    await writeFile(failed, '')
    throw error
  }
  return template
}
