/** Finds the journeys that files export. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { fault } from '../base/errors.ts'
import type { Journey } from './journey.ts'

/** The files of a folder, or the file itself. */
export async function findJourneyFiles(place: string): Promise<string[]> {
  const found = await stat(place).catch(() => null)
  if (found?.isFile()) return [path.resolve(place)]
  const names = found ? (await readdir(place)).filter(name => /(?<!\.d)\.(ts|js|mjs)$/.test(name)).sort() : []
  if (names.length === 0) throw fault('USAGE', `there are no journeys at ${place}; write some with journey() of 'tenfold/load', or name their folder or file with --journeys`)
  return names.map(name => path.resolve(place, name))
}

/** Those of weight 0 are left out. */
export async function loadJourneys(files: readonly string[], mix?: Readonly<Record<string, number>>): Promise<Journey[]> {
  const found = new Map<string, Journey>()
  for (const file of files) {
    const exported = await import(pathToFileURL(file).href) as Record<string, unknown>
    for (const value of new Set(Object.values(exported))) {
      if ((value as Journey | null)?.kind !== 'journey') continue
      const { name } = value as Journey
      if (found.has(name)) throw fault('USAGE', `two journeys are named '${name}', one of them in ${file}; rename one`)
      found.set(name, value as Journey)
    }
  }
  if (found.size === 0) throw fault('USAGE', `none of ${files.join(', ')} exports a journey; export the value of journey(…)`)
  for (const name of Object.keys(mix ?? {})) if (!found.has(name)) throw fault('USAGE', `there is no journey '${name}'; there are ${[...found.keys()].join(', ')}`)
  const chosen = [...found.values()].map(one => ({ ...one, weight: mix ? mix[one.name] ?? 0 : one.weight })).filter(({ weight }) => weight > 0)
  if (chosen.length === 0) throw fault('USAGE', 'no journey has a weight above 0')
  return chosen
}
