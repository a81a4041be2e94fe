/** The CDN that a deployment starts in front of itself, and the secret it shares with the purges of its processes. */
import { createHmac } from 'node:crypto'
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import { startVarnishServer } from '../drivers/varnish/server.ts'
import { renderVcl } from '../drivers/varnish/vcl.ts'
import type { Plan } from '../topology/plan.ts'
import type { Ports } from '../topology/topology.ts'

export interface CdnStart {
  readonly plan: Plan
  /** The deployment's. */
  readonly secret: Buffer
  readonly origin: { readonly host: string; readonly port: number }
  readonly dataFolder: string
  readonly log: Logger
}

/** Made of the deployment's secret, in the supervisor and in each process alike. */
export const cdnSecretOf = (secret: Buffer): string => createHmac('sha256', secret).update('tenfold cdn').digest('hex')

/** Its url, or null when the topology has none to start. */
export async function startCdn(cdn: Ports['cdn'], { plan, secret, origin, dataFolder, log }: CdnStart, closers: Closers): Promise<string | null> {
  if (cdn.driver !== 'varnish') return null
  const { corsOrigins, credentials } = plan.listener
  const known = ['authorization', 'cookie']
  const vcl = renderVcl({ origin, corsOrigins, secret: cdnSecretOf(secret), credentialHeaders: credentials.filter(name => !known.includes(name)) })
  const server = await startVarnishServer({ vcl, dataFolder, port: cdn.port, storageBytesMax: cdn.bytesMax, log })
  closers.add(() => server.stop())
  return server.url
}
