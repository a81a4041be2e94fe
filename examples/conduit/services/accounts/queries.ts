/** Logging in, and what others may know about a person. */
import { fault, keyOfId, verifyPassword } from 'tenfold'
import { z } from 'zod'
import { address, Person, required } from '../../shapes.ts'
import { User, userView } from './commands.ts'
import { accounts } from './service.ts'
import type { AccountRow } from './service.ts'

/** Checked when there is no such account, so that the time of the answer does not tell. */
const nobodysPassword = 'scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

export const login = accounts.query({
  http: 'POST /api/users/login', summary: 'Log in', cost: 4,
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 1_000 } },
  input: z.object({ user: z.object({ email: required(254), password: required(1_024) }) }),
  output: z.object({ user: User }),
  key: ({ user }) => user.email,
  async run(context, { user: { email, password } }) {
    const id = await context.claimed('email', email)
    const [row] = id === null ? [] : await context.sql<AccountRow>`
      SELECT id, email, username, password, bio, image FROM account WHERE bucket = ${context.bucketOf(keyOfId(id))} AND id = ${id}`
    const right = await verifyPassword(password, row?.password ?? nobodysPassword)
    if (!row || !right) throw fault('UNAUTHENTICATED', 'email or password is wrong', { fields: { credentials: ['invalid'] } })
    return { user: await userView(row) }
  },
})

export const currentUser = accounts.query({
  http: 'GET /api/user', auth: 'required', summary: 'The own account',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  input: z.object({}),
  output: z.object({ user: User }),
  key: (_, { user }) => keyOfId(user.id),
  async run(context) {
    const [row] = await context.sql<AccountRow>`
      SELECT id, email, username, bio, image FROM account WHERE bucket = ${context.bucket} AND id = ${context.user.id}`
    if (!row) throw fault('UNAUTHENTICATED', 'the account is gone', { fields: { token: ['is invalid'] } })
    return { user: await userView(row) }
  },
})

/** A person by username; null when there is none. */
export const person = accounts.query({
  input: z.object({ username: address }),
  output: Person.nullable(),
  key: ({ username }) => username,
  async run(context, { username }) {
    const id = await context.claimed('username', username)
    if (id === null) return null
    const [row] = await context.sql<Person>`
      SELECT id, username, bio, image FROM account WHERE bucket = ${context.bucketOf(keyOfId(id))} AND id = ${id}`
    return row ?? null
  },
})

export const people = accounts.query({
  scatter: true,
  input: z.object({ ids: z.array(z.string()) }),
  output: z.array(Person),
  run: (context, { ids }) => context.sql<Person>`SELECT id, username, bio, image FROM account WHERE id = ANY (${ids}::uuid[])`,
})
