/** A folder whose changes are waited for: an application's files, without what it does not run from. */
import { watch } from 'node:fs'
import path from 'node:path'
import { fault } from '../base/errors.ts'
import { sleep } from '../base/time.ts'

export interface WatchedFolder {
  /** The files changed since the last call, once there are some and no more come in a moment. */
  changes(): Promise<readonly string[]>
}

/** Editors write a file in several steps, and tools several files. */
const quietMs = 50

export function watchFolder(folder: string, without: readonly string[], signal: AbortSignal): WatchedFolder {
  const ignore = (name: string): boolean => isIgnored(name) || without.some(one => isWithin(path.join(folder, name), one))
  const changed = new Set<string>()
  let arrival = Promise.withResolvers<void>()
  arrival.promise.catch(() => {})
  const watcher = watch(folder, { recursive: true, ignore, signal }, (_, name) => {
    // Asked again: an older Node knows no `ignore`.
    if (name === null || ignore(name)) return
    changed.add(name)
    arrival.resolve()
  })
  watcher.on('error', (error: NodeJS.ErrnoException) => arrival.reject(error.code === 'ENOSPC'
    ? fault('USAGE', `the system watches no more files: raise fs.inotify.max_user_watches, or use 'tenfold start'`) : error))
  return {
    async changes() {
      await arrival.promise
      for (let size = 0; size !== changed.size;) {
        size = changed.size
        await sleep(quietMs, signal)
      }
      const files = [...changed].sort()
      changed.clear()
      arrival = Promise.withResolvers<void>()
      arrival.promise.catch(() => {})
      return files
    },
  }
}

/** Names with a dot in front are settings, repositories and drafts of editors. */
function isIgnored(name: string): boolean {
  return name.split(path.sep).some(part => part === 'node_modules' || part.startsWith('.')) || /(\.log|~|\.swp|\.tmp)$/.test(name)
}

function isWithin(file: string, folder: string): boolean {
  return file === folder || file.startsWith(folder + path.sep)
}
