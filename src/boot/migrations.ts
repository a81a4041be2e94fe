/** Reads each service's numbered SQL files: `0001-name.sql`, in a folder of its own. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fault } from '../base/errors.ts'
import type { Application } from '../model/app.ts'
import type { Service } from '../model/service.ts'
import type { Migration, ServiceSchema } from '../ports/database.ts'

export async function readMigrations(app: Application): Promise<ServiceSchema[]> {
  return Promise.all(app.services.map(async service => ({
    service: service.name,
    migrations: await migrationsOf(service),
    reference: service.options.reference ?? [],
  })))
}

async function migrationsOf(service: Service): Promise<Migration[]> {
  const folder = service.options.migrations
  if (!folder) return []
  const base = new URL(folder.href.endsWith('/') ? folder.href : `${folder.href}/`)
  const names = await readdir(base).catch(() => { throw fault('MIGRATION_FAULT', `service '${service.name}' names the folder ${base.pathname}, which does not exist; create it or take 'migrations' out`) })
  const files = names.filter(name => name.endsWith('.sql')).sort()
  return Promise.all(files.map(async (name, index) => {
    const number = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(name)?.[1])
    if (number !== index + 1) throw fault('MIGRATION_FAULT', `${base.pathname}${name}: migrations are numbered 0001-name.sql, 0002-name.sql, … without a gap; expected ${String(index + 1).padStart(4, '0')}`)
    const sql = await readFile(new URL(name, base), 'utf8')
    return { number, name, sql, checksum: createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex') }
  }))
}
