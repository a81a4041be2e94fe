/** Child processes of the bench that say `ready <url>` when they listen. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const rootFolder = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

export interface Server {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

export type Environment = Readonly<Record<string, string>>

const readyMs = 60_000
const stopMs = 15_000
const outputMax = 8_000

/** Starts a script of this repository and waits for its line. */
export function startServer(script: readonly string[], env: Environment): Promise<Server> {
  const child = spawn(process.execPath, script, { cwd: rootFolder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<void>(resolve => { child.once('exit', () => { resolve() }) })
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMs)
    await ended
    clearTimeout(timer)
  }
  return new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(() => { void stop(); reject(new Error(`${script.join(' ')} was not ready in time:\n${output}`)) }, readyMs)
    const look = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-outputMax)
      const url = /\bready (http:\/\/\S+)/.exec(output)?.[1]
      if (url === undefined) return
      clearTimeout(timer)
      resolve({ url: url.replace(/\/$/, ''), pid: child.pid!, stop })
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.once('error', reject)
    child.once('exit', code => { clearTimeout(timer); reject(new Error(`${script.join(' ')} ended with ${code}:\n${output}`)) })
  })
}

/** Runs a script of this repository to its end. */
export function runScript(script: readonly string[], env: Environment): Promise<void> {
  const child = spawn(process.execPath, script, { cwd: rootFolder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer) => { output = (output + chunk.toString()).slice(-outputMax) }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', code => { if (code === 0) resolve(); else reject(new Error(`${script.join(' ')} ended with ${code}:\n${output}`)) })
  })
}
