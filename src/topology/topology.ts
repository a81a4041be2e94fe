/**
 * A topology: which processes run what, and which driver stands behind each port. Plain
 * data, complete in itself, keys always in the same order, so that two topologies are
 * compared with `diff`. Durations are written for people ('30s') in these files only.
 */
import type { Application, ServiceName } from '../model/app.ts'

/** A value, or the environment variable that holds it. */
export type FromEnvironment = { readonly env: string }

export interface ProcessTopology<Name extends string = string> {
  /** 'everything', or the services this process runs. */
  readonly runs: 'everything' | readonly Name[]
  readonly replicas: number
}

export interface Ports {
  /** The embedded server stays `small` unless it may take the `machine`: docs/database.md. */
  readonly database: { readonly driver: 'postgres'; readonly embedded: true; readonly settings?: 'small' | 'machine' } | { readonly driver: 'postgres'; readonly url: string | FromEnvironment }
  readonly cache: { readonly driver: 'memory'; readonly bytesMax: number }
  readonly queue: { readonly driver: 'postgres'; readonly concurrency: number }
  readonly bus: { readonly driver: 'postgres' }
  readonly lease: { readonly driver: 'postgres' }
  readonly transport: { readonly driver: 'memory' } | { readonly driver: 'serialising'; readonly retries: number }
  readonly ingress: { readonly driver: 'http'; readonly port: number }
  readonly orchestrator: { readonly driver: 'process' }
}

export interface Topology<App extends Application = Application> {
  readonly about: string
  readonly outgrow: string
  readonly users: readonly [number, number]
  readonly processes: Readonly<Record<string, ProcessTopology<ServiceName<App>>>>
  readonly ports: Ports
}
