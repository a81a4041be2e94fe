/** Database drivers that are wrong on purpose: the suite must notice. */
import { fault } from '../../../src/base/errors.ts'
import { limits } from '../../../src/base/limits.ts'
import { sleep } from '../../../src/base/time.ts'
import type { Database, Transaction } from '../../../src/ports/database.ts'

const over = (database: Database, changes: Partial<Database>): Database => {
  const bound = Object.fromEntries(['open', 'close', 'migrate', 'query', 'reader', 'transaction', 'claimed', 'position', 'prune', 'healthy']
    .map(method => [method, (database[method as keyof Database] as (...values: unknown[]) => unknown).bind(database)]))
  return { ...(bound as unknown as Database), ...changes }
}

/** Resolves when the work is done, before COMMIT is. */
export const acknowledgesBeforeCommit = (database: Database): Database => over(database, {
  transaction: (scope, work) => new Promise((resolve, reject) => {
    database.transaction(scope, async transaction => {
      const value = await work(transaction)
      resolve(value)
      return value
    }).catch(reject)
  }),
})

/** Does not tell the database which bucket the transaction owns. */
export const forgetsBucket = (database: Database): Database => over(database, {
  transaction: (scope, work) => database.transaction({ ...scope, bucket: null }, work),
})

/** Lets a consumer see every message again. */
export const forgetsInbox = (database: Database): Database => over(database, {
  transaction: (scope, work) => database.transaction(scope, transaction => work(new Proxy<Transaction>(transaction, {
    get(target, property) {
      if (property === 'firstSeen') return async (_: string, messages: readonly { id: string }[]) => new Set(messages.map(one => one.id))
      const value = Reflect.get(target, property, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  }))),
})

/** Answers with the first position it ever took. */
export const frozenPosition = (database: Database): Database => {
  let first: ReturnType<Database['position']> | undefined
  return over(database, { position: () => first ??= database.position() })
}

const changed = (database: Database, changes: (transaction: Transaction) => Partial<Transaction>): Database => over(database, {
  transaction: (scope, work) => database.transaction(scope, transaction => work(new Proxy<Transaction>(transaction, {
    get(target, property) {
      const value = (changes(target) as Record<PropertyKey, unknown>)[property] ?? Reflect.get(target, property, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  }))),
})

/** Keeps everybody waiting for a connection. */
export const neverRefuses = (database: Database): Database => over(database, {
  transaction: (scope, work) => database.transaction({ ...scope, mayBeRefused: false }, work),
})

/** Takes a server that is away for one that is busy. */
export const refusesWhileAway = (database: Database): Database => over(database, {
  transaction: (scope, work) => {
    if (!scope.mayBeRefused) return database.transaction(scope, work)
    let begun = false
    const refused = sleep(limits.burstMs).then(() => begun ? new Promise<never>(() => {}) : Promise.reject(fault('OVERLOADED')))
    return Promise.race([refused, database.transaction(scope, transaction => { begun = true; return work(transaction) })])
  },
})

/** Stays with the first bucket. */
export const neverEnters = (database: Database): Database => changed(database, () => ({ enter() {} }))

/** Keeps no answer. */
export const forgetsAnswers = (database: Database): Database => changed(database, () => ({ async remember() {} }))

/** Reads wherever it is quickest. */
export const forgetsSession = (database: Database): Database => over(database, { reader: (service, wish) => database.reader(service, { ...wish, after: [] }) })

/** Tells where the log stood before COMMIT. */
export const tellsTooEarly = (database: Database): Database => changed(database, () => ({ committed: () => database.position() }))

/** Runs what comes after the end of a transaction all the same. */
export const outlivesTransactions = (database: Database): Database => over(database, {
  transaction: (scope, work) => {
    let hasEnded = false
    return changed(database, transaction => ({
      query: statement => hasEnded ? database.query(scope.service, statement) : transaction.query(statement),
    })).transaction(scope, work).finally(() => { hasEnded = true })
  },
})

/** Lets also those move a consumer on who no longer lead it. */
export const ignoresEpoch = (database: Database): Database => changed(database, () => ({ advance: async () => {} }))

/** Forgets what became of a statement that nobody waits for: each goes a way of its own. */
export const forgetsFailures = (database: Database): Database => over(database, {
  transaction: (scope, work) => changed(database, () => ({ send: statement => { database.query(scope.service, statement).catch(() => {}) } })).transaction(scope, work),
})
