/**
 * Bottlenecks planted in a real Conduit under load, each with a decoy: something that looks
 * busy and is not what binds. And the step that ends each.
 */
import type { StepKind } from '../../src/insight/binding/proposal.ts'
import type { Verdict } from '../../src/insight/binding/diagnosis.ts'
import type { PlantedDeployment } from './planted-deployment.ts'

export interface Scenario {
  readonly name: string
  readonly decoy: string
  readonly topology: string
  readonly journey: string
  readonly users: number
  readonly verdict: Verdict
  readonly at?: RegExp
  /** One of them: which, may depend on the machine. */
  readonly step: StepKind | readonly StepKind[]
  /** Present from before the load until the step; the returned function ends it. */
  plant?(place: PlantedDeployment): Promise<() => Promise<void>>
  /** After the step: what is asked, where, and what was done. Connections, and the next topology, are taken as they are proposed. */
  readonly after: { readonly journey?: string; readonly topology?: string; readonly generators?: number; take?(place: PlantedDeployment): Promise<void> }
  /** What one blames who looks at utilisation only. */
  readonly blind?: Verdict
  /** Null where it can run, else why not. */
  readonly without?: string | null
}

/** 500,000 favorites, and no index to find those of a user. */
async function dropIndex(place: PlantedDeployment): Promise<() => Promise<void>> {
  await place.sql('INSERT INTO articles.favorite (bucket, article_id, user_id) SELECT f.bucket, f.article_id, gen_random_uuid() FROM articles.favorite f, generate_series(1, 50)')
  await place.sql('DROP INDEX articles.favorite_by_user')
  await place.sql('VACUUM ANALYZE articles.favorite')
  await place.sql('CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
  await place.sql('SELECT pg_stat_statements_reset()')
  // Advice on statements says nothing before it has seen so many.
  await place.ask('/planted/lovers/019aba00-0000-7000-8000-000000000000', 550)
  return async () => {}
}

const one = '1-monolith'

export const scenarios: readonly Scenario[] = [
  {
    name: 'none', decoy: 'a program computes in the database, in nobody\'s way', topology: one, journey: 'light', users: 1, verdict: 'none', step: 'nothing',
    plant: place => place.program('SELECT count(*) FROM generate_series(1, 300000)', 20), after: {},
  },
  { name: 'slow statement', decoy: 'its read connections are in use', topology: one, journey: 'slow', users: 2, verdict: 'database', step: 'change-code', after: { journey: 'quick' } },
  {
    name: 'missing index', decoy: 'the handler waits outside as well', topology: one, journey: 'lovers', users: 2, verdict: 'database', step: 'add-index', plant: dropIndex,
    after: { take: async place => { await place.sql('CREATE INDEX favorite_by_user_id ON articles.favorite (user_id)') } },
  },
  // Where a core is free, another process takes it; else the handler has to compute less.
  { name: 'CPU-heavy handler', decoy: 'statements that take time, on connections in use', topology: one, journey: 'burn', users: 8, verdict: 'event-loop', at: /^app-0$/, step: ['change-code', 'next-topology'], after: { journey: 'scorch' } },
  { name: 'something outside', decoy: 'an event loop with something to do', topology: one, journey: 'outside', users: 8, verdict: 'outside', at: /articles\.outside/, step: 'change-code', after: { journey: 'nearby' } },
  {
    name: 'lock contention', decoy: 'a full pool', topology: one, journey: 'write', users: 12, verdict: 'locks', step: 'change-code', blind: 'pool',
    plant: place => place.program(`BEGIN; LOCK TABLE articles.shelf IN EXCLUSIVE MODE; SELECT pg_sleep(0.3); COMMIT`, 30), after: {},
  },
  { name: 'hot key', decoy: 'a full pool', topology: one, journey: 'hot', users: 12, verdict: 'locks', step: 'change-code', blind: 'pool', after: { journey: 'spread' } },
  {
    name: 'slow fsync', decoy: 'a full pool', topology: one, journey: 'write', users: 12, verdict: 'log', step: 'change-machine', blind: 'pool',
    plant: place => place.slowFsync(40), after: {}, without: process.getuid?.() === 0 ? null : 'only root may trace Postgres, which makes its fsync slow',
  },
  { name: 'generator-bound', decoy: 'a processor that is full', topology: one, journey: 'heavy', users: 4, verdict: 'generator', step: 'nothing', after: { generators: 2 } },
  { name: 'read connections', decoy: 'statements that take time', topology: one, journey: 'pause', users: 12, verdict: 'pool', at: /^articles read$/, step: 'more-connections', after: {} },
  { name: 'small pool', decoy: 'an event loop with something to do', topology: 'narrow', journey: 'hold', users: 12, verdict: 'pool', at: /^articles write$/, step: 'more-connections', after: {} },
  { name: 'small read pool', decoy: 'statements that take time', topology: 'narrow', journey: 'pause', users: 8, verdict: 'pool', at: /^articles read$/, step: 'more-connections', after: {} },
  { name: 'costly answers', decoy: 'an event loop with something to do', topology: one, journey: 'costly', users: 3, verdict: 'database', step: 'keep-answers', after: { topology: 'kept' } },
]
