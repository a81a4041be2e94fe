/** The ledger of acknowledged writes: appended line by line while a load runs, read and checked afterwards. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fault } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import type { Expectation } from './journey.ts'

export interface LedgerEntry {
  readonly at: string
  readonly step: string
  readonly expect: Expectation
}

export interface Ledger {
  append(entry: LedgerEntry): void
  close(): void
}

/** Each entry is one write at the end of the file, so several processes may share it. */
export function openLedger(file: string): Ledger {
  const descriptor = openSync(file, 'a')
  return {
    append: entry => { writeSync(descriptor, `${JSON.stringify(entry)}\n`) },
    close: () => closeSync(descriptor),
  }
}

export async function readLedger(file: string): Promise<LedgerEntry[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw fault('USAGE', `the ledger ${file} cannot be read (${error.code})`) })
  return text.split('\n').flatMap((line, index) => {
    if (line === '') return []
    try {
      const entry = JSON.parse(line) as LedgerEntry
      if (typeof entry.expect.path !== 'string') throw new Error('no path')
      return [entry]
    } catch { throw fault('USAGE', `line ${index + 1} of ${file} is no entry of a ledger; name a file that 'tenfold load --ledger' has written`) }
  })
}

export interface Lost { readonly entry: LedgerEntry; readonly why: string }
export interface Verification { readonly writes: number; readonly lost: readonly Lost[] }

const lanes = 8
const requestMs = 30_000
const attemptsMax = 5
const pauseMs = 500

/** Looks for everything the ledger names. Several writes at one path cost one request. */
export async function verifyLedger(url: string, entries: readonly LedgerEntry[], signal?: AbortSignal): Promise<Verification> {
  const groups = [...Map.groupBy(entries, ({ expect }) => JSON.stringify([expect.path, expect.headers ?? {}])).values()]
  const lost: Lost[] = []
  const lane = async () => {
    for (let group = groups.pop(); group && !signal?.aborted; group = groups.pop()) {
      const { path, headers } = group[0]!.expect
      const { status, text } = await read(url, path, headers)
      for (const entry of group) {
        const why = missing(entry.expect, status, text)
        if (why !== null) lost.push({ entry, why })
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  signal?.throwIfAborted()
  return { writes: entries.length, lost: lost.sort((one, other) => one.entry.at < other.entry.at ? -1 : 1) }
}

function missing({ status: wanted = 200, has, lacks }: Expectation, status: number, text: string): string | null {
  if (status !== wanted) return `answered ${status}, not ${wanted}`
  if (has !== undefined && !text.includes(has)) return `'${has}' is not in the answer`
  if (lacks !== undefined && text.includes(lacks)) return `'${lacks}' is still in the answer`
  return null
}

/** A refusal says nothing about what is there: asked again, and no verdict without an answer. */
async function read(url: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<{ status: number; text: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(url + path, { headers: { ...headers, 'cache-control': 'no-cache' }, signal: AbortSignal.timeout(requestMs) })
      if (response.status < 500 && response.status !== 429) return { status: response.status, text: await response.text() }
      if (attempt === attemptsMax) throw new Error(`answered ${response.status}`)
    } catch (error) {
      if (attempt === attemptsMax) throw fault('UNAVAILABLE', `${url}${path} could not be read, so nothing is said about the ledger: ${(error as Error).message}`)
    }
    await sleep(pauseMs * attempt)
  }
}
