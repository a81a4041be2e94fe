/** Which topology comes after this one, by the numbers of the files beside it. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'

const nameOf = (file: string): string => path.basename(file).replace(/\.(ts|js)$/, '')

/** Null after the last, and where files are not numbered. */
export async function nextTopologyOf(file: string): Promise<string | null> {
  const names = (await readdir(path.dirname(file)).catch(() => [])).filter(one => /^\d+-.*\.(ts|js)$/.test(one)).map(nameOf)
  const numberOf = (name: string) => Number(/^(\d+)-/.exec(name)?.[1] ?? NaN)
  return names.find(name => numberOf(name) === numberOf(nameOf(file)) + 1) ?? null
}
