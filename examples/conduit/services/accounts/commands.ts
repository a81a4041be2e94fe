/** Registering and changing one's account. */
import { fault, hashPassword, keyOfId } from 'tenfold'
import { z } from 'zod'
import { tokens } from '../../config.ts'
import { persons, personTag } from '../../freshness.ts'
import { required, storable } from '../../shapes.ts'
import { welcomeMail } from '../notifications/jobs.ts'
import { changed, registered } from './events.ts'
import { accounts } from './service.ts'
import type { AccountRow } from './service.ts'

export const User = z.object({ email: z.string(), token: z.string(), username: z.string(), bio: z.string().nullable(), image: z.string().nullable() })

const username = required(64)
const email = required(254)
const optionalText = storable(65_536).nullable().transform(text => text === '' ? null : text)

export const userView = async ({ id, email, username, bio, image }: Omit<AccountRow, 'password'>): Promise<z.output<typeof User>> =>
  ({ email, token: await tokens().sign(id), username, bio, image })

export const register = accounts.command({
  http: 'POST /api/users', status: 201, summary: 'Register',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 1_000 } },
  input: z.object({ user: z.object({ username, email, password: required(1_024) }) }),
  output: z.object({ user: User }),
  key: ({ user }) => user.email,
  invalidates: ({ user }) => [personTag(user.username)],
  async run(context, { user: { username, email, password } }) {
    const row = { id: context.newId(), email, username, password: await hashPassword(password), bio: null, image: null }
    await context.claim('username', username, row.id)
    await context.claim('email', email, row.id)
    await context.db.insertInto('account').values(row).execute()
    context.emit(registered, { id: row.id, username, bio: null, image: null }, { key: keyOfId(row.id) })
    context.enqueue(welcomeMail, { email, username })
    return { user: await userView(row) }
  },
})

export const changeAvatar = accounts.upload({
  http: 'PUT /api/user/avatar', auth: 'required', summary: 'Upload the own picture',
  accepts: ['image/png', 'image/jpeg', 'image/gif', 'image/webp'], bytesMax: 2_097_152,
  output: z.object({ user: User }),
  key: (_, { user }) => keyOfId(user.id),
  async run(context, { upload: { url } }) {
    const { id } = context.user
    const row = await context.db.updateTable('account').set({ image: url }).where('id', '=', id).returning(['id', 'email', 'username', 'bio', 'image']).executeTakeFirst()
    if (!row) throw fault('UNAUTHENTICATED', 'the account is gone', { fields: { token: ['is invalid'] } })
    context.emit(changed, { id, username: row.username, bio: row.bio, image: row.image })
    return { user: await userView(row) }
  },
})

export const updateUser = accounts.command({
  http: 'PUT /api/user', auth: 'required', summary: 'Change the own account',
  input: z.object({ user: z.object({
    username: username.optional(), email: email.optional(), bio: optionalText.optional(), image: optionalText.optional(),
    password: required(1_024).refine(text => text.trim() === '' || text.length >= 8, 'is too short (minimum is 8 characters)').optional(),
  }) }),
  output: z.object({ user: User }),
  key: (_, { user }) => keyOfId(user.id),
  invalidates: () => [persons],
  async run(context, { user: { password, ...changes } }) {
    const { id } = context.user
    const hashed = password === undefined ? {} : { password: await hashPassword(password) }
    const before = await context.db.selectFrom('account').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
    if (!before) throw fault('UNAUTHENTICATED', 'the account is gone', { fields: { token: ['is invalid'] } })
    for (const scope of ['username', 'email'] as const) {
      const wanted = changes[scope]
      if (wanted === undefined || wanted === before[scope]) continue
      await context.claim(scope, wanted, id)
      await context.unclaim(scope, before[scope], id)
    }
    const row = { ...before, ...changes, ...hashed }
    await context.db.updateTable('account').set({ ...changes, ...hashed, id }).where('id', '=', id).execute()
    context.emit(changed, { id, username: row.username, bio: row.bio, image: row.image })
    return { user: await userView(row) }
  },
})
