/**
 * A data folder with a database as initdb leaves it. initdb takes two seconds of a core, and nearly every test file
 * needs a server: so it runs once, and who tests a first start takes an empty folder instead.
 */
import { chmod, lstat, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { silentLogger } from '../../src/base/log.ts'
import { initialiseCluster } from '../../src/drivers/postgres/server-cluster.ts'
import { prepareServerFiles } from '../../src/drivers/postgres/server-files.ts'
import { copyOfTemplate } from './template.ts'

/** For the caller, who removes it. */
export const newDataFolder = (): Promise<string> => copyOfTemplate('new', initialise)

async function initialise(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-'))
  // The server may run as another user, who must be able to walk here.
  await chmod(folder, 0o755)
  const files = await prepareServerFiles(folder, silentLogger)
  await initialiseCluster(files)
  if (files.socketFolder) await rm(files.socketFolder, { recursive: true, force: true })
  const postgres = path.join(folder, 'postgres')
  // A cluster that had to go elsewhere is not copied along: then each start makes its own.
  if ((await lstat(postgres)).isSymbolicLink()) await Promise.all([files.folder, postgres].map(one => rm(one, { recursive: true, force: true })))
  return folder
}
