/** Imports an application and its topologies from their files. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { fault } from '../base/errors.ts'
import type { Application } from '../model/app.ts'
import type { Topology } from '../topology/topology.ts'

export async function loadApplication(file: string): Promise<Application> {
  const module = await importFile(file, 'application')
  const found = Object.values(module).find((value): value is Application => (value as Application | null)?.kind === 'application')
  if (!found) throw fault('USAGE', `${file} exports no application; export the value of application(…)`)
  return found
}

export async function loadTopology(file: string): Promise<Topology> {
  const { default: topology } = await importFile(file, 'topology')
  if (typeof topology !== 'object' || topology === null || !('ports' in topology)) throw fault('USAGE', `${file} has no topology as its default export`)
  return topology as Topology
}

/** The file of a topology by its name (`1-monolith`, or just its number) beside the application, or by its path. */
export async function findTopology(appFile: string, name: string): Promise<{ name: string; file: string }> {
  if (/\.(ts|js)$/.test(name)) return { name: path.basename(name).replace(/\.(ts|js)$/, ''), file: path.resolve(name) }
  const folder = path.join(path.dirname(appFile), 'topologies')
  const names = (await readdir(folder).catch(() => [])).filter(one => /\.(ts|js)$/.test(one)).sort()
  const found = names.find(one => one.replace(/\.(ts|js)$/, '') === name) ?? names.find(one => one.startsWith(`${name}-`))
  if (!found) throw fault('USAGE', `there is no topology '${name}' in ${folder}; there ${names.length === 1 ? 'is' : 'are'} ${names.map(one => one.replace(/\.(ts|js)$/, '')).join(', ') || 'none'}`)
  return { name: found.replace(/\.(ts|js)$/, ''), file: path.join(folder, found) }
}

async function importFile(file: string, what: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(path.resolve(file)).href) as Record<string, unknown>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' && String((error as Error).message).includes(path.resolve(file))) {
      throw fault('USAGE', `there is no ${what} at ${file}`)
    }
    throw error
  }
}
