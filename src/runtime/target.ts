/** The intents that HTTP reaches: their routes, and what the router needs to know of each, worked out once. */
import { limits } from '../base/limits.ts'
import { credentialsOf } from '../model/app.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import type { Freshness } from '../model/freshness.ts'
import { parseRoute } from '../model/manifest.ts'
import type { Query } from '../model/query.ts'
import type { Rate } from '../model/rate.ts'
import type { Acceptance } from '../model/upload.ts'
import type { Route } from '../ports/ingress.ts'
import type { Priority } from '../ports/transport.ts'
import type { IntentMeter } from './intent-meter.ts'

export interface Target {
  readonly intent: Query | Command
  readonly isCommand: boolean
  /** `/articles/:slug`. */
  readonly route: string
  readonly status: number
  readonly timeoutMs: number
  readonly priority: Priority
  readonly cost: number
  readonly rate: Rate | undefined
  readonly authenticates: boolean
  readonly caching: Caching
  readonly accepts: Acceptance | undefined
  /** Null where nothing is measured. */
  readonly meter: IntentMeter | null
}

/** What the answers of an intent may tell caches. */
export interface Caching {
  readonly freshness: Freshness | undefined
  /** True when answers to nobody in particular may be kept by anybody. */
  readonly isPublic: boolean
  /** True when a CDN stands in front, which Tenfold purges. */
  readonly hasCdn: boolean
  /** The headers that make two answers differ. */
  readonly vary: string
}

export function routesOf(app: Application): Route[] {
  return reachable(app).map((intent): Route => {
    const { accepts } = (intent as Command).definition
    return { ...parseRoute(intent.definition.http!), bodyBytesMax: accepts?.bytesMax ?? limits.bodyBytesMax, name: intent.name, ...accepts ? { body: 'stream' } : {} }
  })
}

export function targetsOf(app: Application, hasCdn: boolean, meterOf: (intent: Query | Command) => IntentMeter | null): Map<string, Target> {
  const vary = credentialsOf(app).join(', ')
  return new Map(reachable(app).map(intent => {
    const { definition } = intent
    const isCommand = intent.kind === 'command'
    return [intent.name, {
      intent, isCommand, route: parseRoute(definition.http!).path, meter: meterOf(intent),
      status: definition.status ?? 200,
      timeoutMs: definition.deadlineMs ?? (isCommand ? limits.commandDeadlineMs : limits.queryDeadlineMs),
      priority: definition.priority ?? 'normal',
      cost: definition.cost ?? 1,
      rate: definition.rate,
      caching: { freshness: (intent as Query).definition.freshness, isPublic: (intent as Query).definition.freshness?.audience === 'public', hasCdn, vary },
      accepts: isCommand ? (definition as Command['definition']).accepts : undefined,
      authenticates: (definition.auth ?? 'none') !== 'none' && (app.options.authenticate !== undefined || app.options.sessions !== undefined),
    }]
  }))
}

function reachable(app: Application): (Query | Command)[] {
  return [...app.intents.values()]
    .filter((intent): intent is Query | Command => intent.kind === 'query' || intent.kind === 'command')
    .filter(intent => intent.definition.http)
}
