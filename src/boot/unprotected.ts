/** What a process is without one of its protections, for negative controls: the environment of a deployment switches them off. */
import type { Database, Transaction } from '../ports/database.ts'

/** The same with some members replaced; the rest runs as it did. */
const changed = <T extends object>(whole: T, changes: Partial<T>): T => new Proxy(whole, {
  get(target, property) {
    const value = (changes as Record<PropertyKey, unknown>)[property] ?? Reflect.get(target, property, target) as unknown
    return typeof value === 'function' ? value.bind(target) : value
  },
})

/** Every message is new to every consumer, however often it comes. */
export const withoutInbox = <T extends Database>(database: T): T => changed<Database>(database, {
  transaction: (scope, work) => database.transaction(scope, transaction => work(changed<Transaction>(transaction, {
    firstSeen: async (_, messages) => new Set(messages.map(one => one.id)),
  }))),
}) as T
