/** Structured logs by pino: one JSON line each, on standard error unless told otherwise. Secrets are redacted. */
import { pino } from 'pino'
import type { DestinationStream, Logger as PinoLogger } from 'pino'

export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child' | 'level' | 'isLevelEnabled'>

export interface LogOptions {
  readonly level?: string
  readonly name?: string
  /** Which process of a deployment: `web.0`, `supervisor`. */
  readonly process?: string
  readonly destination?: DestinationStream
}

export function createLogger(options: LogOptions = {}): Logger {
  return pino({
    level: options.level ?? process.env.LOG_LEVEL ?? 'info',
    base: { name: options.name ?? 'tenfold', pid: process.pid, process: options.process },
    redact: ['authorization', 'password', 'token', '*.authorization', '*.password', '*.token', '*.cookie'],
  }, options.destination ?? pino.destination({ dest: 2, sync: false }))
}

export const silentLogger: Logger = pino({ level: 'silent' })
