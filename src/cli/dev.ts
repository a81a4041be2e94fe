/**
 * `tenfold dev`: runs the application and restarts it when a file changes.
 *
 *   faulty ──change──▶ started ──▶ serving ──change──▶ rolled ──▶ serving
 *      ▲ it does not start │          ▲                  │ it does not start
 *      └───────────────────┘          └── the old version goes on ◀──┘
 *
 * The new version starts in a process that waits with the framework loaded.
 */
import { realpath } from 'node:fs/promises'
import path from 'node:path'
import { isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { createLogger } from '../base/log.ts'
import { LogBook } from '../boot/log-book.ts'
import { monotonicMs } from '../base/time.ts'
import { appFileOf, appOption, dataFolderOf } from './command.ts'
import type { Arguments, CliCommand } from './command.ts'
import { serve, stopSignal } from './start.ts'
import type { Serving } from './start.ts'
import { watchFolder } from './watched-folder.ts'

export const dev: CliCommand = {
  name: 'dev',
  summary: 'run the application, restarting when a file changes',
  help: `Like 'tenfold start'. A change below the application's folder starts the new version and then
drains the old one; a version that does not start is reported, and the old one goes on. Not
watched: node_modules, the data folder, *.log, and names that begin with a dot. Another
topology, or one that has changed, takes a new start. With --json each event is a line.

  --app FILE        the application (app.ts)
  --topology NAME   one of the folder topologies beside it (1-monolith)

Environment: as of 'tenfold start'; LOG_LEVEL is warn unless it is set.`,
  options: { ...appOption, topology: { type: 'string', default: '1-monolith' } },
  async run(given) {
    process.env.LOG_LEVEL ??= 'warn'
    const appFile = appFileOf(given)
    const ending = new AbortController()
    const stopping = stopSignal().then(() => ending.abort())
    // The system reports changes by real paths.
    const dataFolder = dataFolderOf()
    const folders = [dataFolder, await realpath(dataFolder).catch(() => dataFolder)]
    const watched = watchFolder(await realpath(path.dirname(appFile)), folders, ending.signal)
    const session = new Session(given)
    try {
      for (let files: readonly string[] = []; !ending.signal.aborted;) {
        await session.update(files, ending.signal)
        const changes = await Promise.race([watched.changes(), stopping])
        if (changes) files = changes
      }
    } finally {
      ending.abort()
      await session.stop()
    }
    return 0
  },
}

/** What a change of the application can mend. */
const mendable: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'DECLARATION_FAULT', 'MIGRATION_FAULT', 'TOPOLOGY_REFUSED'])

class Session {
  readonly #given: Arguments
  readonly #book = new LogBook()
  readonly #log = createLogger({ process: 'supervisor', destination: this.#book.supervisor })
  #serving: Serving | undefined

  constructor(given: Arguments) { this.#given = given }

  async update(files: readonly string[], signal: AbortSignal): Promise<void> {
    if (this.#serving) return this.#restart(this.#serving, files, signal)
    try {
      this.#serving = await serve(this.#given, { log: this.#log, book: this.#book, standby: 'framework', signal })
    } catch (error) {
      // It was told to end before the start was over.
      if (signal.aborted) return
      // What a change of the application cannot mend (a port that is taken, say) ends the command.
      if (!isTenfoldError(error) || !mendable.has(error.code)) throw error
      process.stderr.write(`${error.message}\n`)
      return this.#say({ event: 'faulty', changed: files, error: error.message }, 'waiting for a change')
    }
    this.#say({ event: 'ready', ...this.#serving.facts }, this.#serving.text)
  }

  async #restart({ deployment, facts }: Serving, files: readonly string[], signal: AbortSignal): Promise<void> {
    const startedAtMs = monotonicMs()
    const ended = new Promise<'ended'>(resolve => signal.addEventListener('abort', () => resolve('ended'), { once: true }))
    const outcome = await Promise.race([ended, deployment.restart().then(() => 'ready' as const, (error: Error) => error)])
    if (outcome === 'ended') return
    const names = files.length > 3 ? `${files.slice(0, 3).join(', ')} and ${files.length - 3} more` : files.join(', ')
    if (outcome === 'ready') {
      const tookMs = Math.round(monotonicMs() - startedAtMs)
      const note = files.some(file => file.startsWith('topologies')) ? '; a changed topology takes a new start' : ''
      return this.#say({ event: 'restarted', changed: files, tookMs }, `restarted in ${tookMs} ms (${names})${note}`)
    }
    this.#say({ event: 'refused', changed: files, error: outcome.message }, `not restarted (${names}): ${outcome.message}\nthe version before goes on at ${facts.url}`)
  }

  #say(facts: object, text: string): void {
    process.stdout.write(`${this.#given.values.json ? JSON.stringify(facts) : text}\n`)
  }

  async stop(): Promise<void> { await this.#serving?.stop() }
}
