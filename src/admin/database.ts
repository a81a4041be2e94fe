/** The database as its own engine counts it: statements, their plans when somebody asks, tables and indexes. */
import { createHash } from 'node:crypto'
import { fault } from '../base/errors.ts'
import type { StatementFacts } from '../ports/inspection.ts'
import type { Observers } from './observers.ts'
import { countOf } from './route.ts'
import type { AdminRoute } from './route.ts'

/** Names a statement in addresses. Plans are made of statements that the engine has seen, never of a text that is sent here. */
const idOf = ({ service, text }: StatementFacts): string => createHash('sha256').update(`${service} ${text}`).digest('hex').slice(0, 16)

export function databaseRoutes(observers: Observers): AdminRoute[] {
  return [
    {
      method: 'GET', path: '/database',
      async answer() {
        const inspection = await observers.inspection
        const [observation, tables, indexes] = await Promise.all([inspection.observation(), inspection.tables(), inspection.indexes()])
        return { observation, tables, indexes }
      },
    },
    {
      method: 'GET', path: '/database/statements',
      async answer({ query }) {
        const all = await (await observers.inspection).statements()
        const totalMs = all.reduce((sum, one) => sum + one.totalMs, 0)
        const listed = [...all].sort((a, b) => b.totalMs - a.totalMs).slice(0, countOf(query, 'limit', 100, 1_000))
        return { totalMs, statements: listed.map(one => ({ id: idOf(one), ...one })) }
      },
    },
    {
      method: 'GET', path: '/database/statements/:id/plan',
      async answer({ path }) {
        const inspection = await observers.inspection
        const statement = (await inspection.statements()).find(one => idOf(one) === path.id)
        if (!statement) throw fault('NOT_FOUND', `there is no statement ${path.id}: the engine has forgotten it, or its counts were reset`)
        return { plan: await inspection.explain(statement.service, statement.text) }
      },
    },
  ]
}
