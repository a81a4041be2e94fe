/** Redis as a child process on a socket in the data folder: where it is, its configuration, its start. */
import { createHash, createHmac } from 'node:crypto'
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { Daemon, findProgram, mendOf } from '../../base/daemon.ts'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { after } from '../../base/time.ts'

/** `cache`: may forget, and makes room. `state`: keeps what it has on disk, and refuses when it is full. */
export type RedisPurpose = 'cache' | 'state'

export interface RedisPlace {
  /** Its folder is a sub-folder named after the purpose. */
  readonly dataFolder: string
  readonly purpose: RedisPurpose
  /** The deployment's: the password is made from it. */
  readonly secret: Buffer
}

export interface RedisServerOptions extends RedisPlace {
  readonly memoryBytesMax: number
  readonly log: Logger
}

export interface RedisServer {
  readonly url: string
  /** Of the process that runs now; null while it is down. */
  readonly pid: number | null
  stop(): Promise<void>
}

/** The longest name of a socket that every system takes. */
const socketBytesMax = 100
const answerMs = 1_000

const passwordOf = (secret: Buffer): string => createHmac('sha256', secret).update('tenfold redis').digest('hex')

function folderOf({ dataFolder, purpose }: RedisPlace): string {
  const folder = path.join(path.resolve(dataFolder), purpose === 'cache' ? 'redis' : 'redis-state')
  if (Buffer.byteLength(path.join(folder, 'redis.sock')) <= socketBytesMax) return folder
  return path.join(os.tmpdir(), `tenfold-redis-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`)
}

/** Where the server of this folder listens, whether it runs or not. */
export const embeddedRedisUrl = (place: RedisPlace): string =>
  `unix:${encodeURI(path.join(folderOf(place), 'redis.sock'))}?password=${passwordOf(place.secret)}`

const findRedis = (): string => findProgram('redis-server', ['redis-server'])

/** Null where the program of an embedded Redis is found, else the mend. */
export const redisMend = (): string | null => mendOf(findRedis)

export async function startRedisServer(options: RedisServerOptions): Promise<RedisServer> {
  const program = findRedis()
  const folder = folderOf(options)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await stat(folder)).uid !== process.getuid?.()) throw fault('UNAVAILABLE', `the folder ${folder} belongs to somebody else: remove it, or choose another TENFOLD_DATA`)
  const [file, socket, password] = [path.join(folder, 'redis.conf'), path.join(folder, 'redis.sock'), passwordOf(options.secret)]
  const daemon = new Daemon({ title: 'Redis', program, folder, log: options.log, argv: () => [file], isReady: () => answers(socket, password) })
  await daemon.endPredecessor()
  await rm(file, { force: true })
  await writeFile(file, settingsOf(options, folder), { mode: 0o600, flag: 'wx' })
  await daemon.start()
  return { url: embeddedRedisUrl(options), get pid() { return daemon.pid }, stop: () => daemon.stop() }
}

function settingsOf({ purpose, memoryBytesMax, secret }: RedisServerOptions, folder: string): string {
  const settings: Readonly<Record<string, string>> = {
    port: '0', unixsocket: quoted(path.join(folder, 'redis.sock')), unixsocketperm: '700', requirepass: passwordOf(secret), dir: quoted(folder),
    // Its command line goes on to name the folder, by which it is found again.
    'set-proc-title': 'no',
    databases: '1', save: '""', maxmemory: String(memoryBytesMax),
    ...purpose === 'cache' ? { 'maxmemory-policy': 'allkeys-lru', appendonly: 'no' } : { 'maxmemory-policy': 'noeviction', appendonly: 'yes', appendfsync: 'everysec' },
  }
  return Object.entries(settings).map(([name, value]) => `${name} ${value}\n`).join('')
}

const quoted = (text: string): string => JSON.stringify(text)

/** What a state has kept is read before it answers. */
function answers(socket: string, password: string): Promise<boolean> {
  return new Promise(resolve => {
    const connection = net.connect(socket)
    const done = (answer: boolean) => { cancel(); connection.destroy(); resolve(answer) }
    const cancel = after(answerMs, () => done(false))
    let heard = ''
    connection.once('error', () => done(false)).once('end', () => done(false))
    connection.on('data', data => { heard += String(data); if (heard.split('\r\n').length > 2) done(heard.includes('+PONG')) })
    connection.write(`AUTH ${password}\r\nPING\r\n`)
  })
}
