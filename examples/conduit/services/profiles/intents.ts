/** Looking at a profile, following and unfollowing. */
import { fault, keyOfId } from 'tenfold'
import { z } from 'zod'
import { followerTag, persons, personTag, shared, viewTags } from '../../freshness.ts'
import { address, Profile } from '../../shapes.ts'
import type { Person } from '../../shapes.ts'
import { person } from '../accounts/queries.ts'
import { followed, unfollowed } from './events.ts'
import { profiles } from './service.ts'

const input = z.object({ username: address })
const output = z.object({ profile: Profile })

const view = ({ username, bio, image }: Person, following: boolean) => ({ profile: { username, bio, image, following } })
const unknown = () => fault('NOT_FOUND', 'profile not found', { fields: { profile: ['not found'] } })

export const profile = profiles.query({
  http: 'GET /api/profiles/:username', auth: 'optional', summary: 'A profile',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  freshness: shared, tags: ({ username }, { user }) => [persons, personTag(username), ...viewTags(user)],
  input, output,
  key: ({ username }) => username,
  async run(context, { username }) {
    const found = await context.call(person, { username })
    if (!found) throw unknown()
    const names = context.user ? await context.call(followedBy, { follower: context.user.id, people: [found.id] }) : []
    return view(found, names.length > 0)
  },
})

export const follow = profiles.command({
  http: 'POST /api/profiles/:username/follow', auth: 'required', summary: 'Follow somebody',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input, output,
  key: (_, { user }) => keyOfId(user.id),
  invalidates: (_, { user }) => [followerTag(user.id)],
  async run(context, { username }) {
    const found = await context.call(person, { username })
    if (!found) throw unknown()
    if (found.id === context.user.id) throw fault('INVALID_INPUT', 'nobody follows themselves', { fields: { profile: ["can't be yourself"] } })
    const made = await context.sql`
      INSERT INTO follow (bucket, follower_id, followee_id) VALUES (${context.bucket}, ${context.user.id}, ${found.id})
      ON CONFLICT DO NOTHING RETURNING 1`
    if (made.length > 0) context.emit(followed, { follower: context.user.id, followee: found.id })
    return view(found, true)
  },
})

export const unfollow = profiles.command({
  http: 'DELETE /api/profiles/:username/follow', auth: 'required', summary: 'Follow somebody no more',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input, output,
  key: (_, { user }) => keyOfId(user.id),
  invalidates: (_, { user }) => [followerTag(user.id)],
  async run(context, { username }) {
    const found = await context.call(person, { username })
    if (!found) throw unknown()
    const gone = await context.sql`
      DELETE FROM follow WHERE bucket = ${context.bucket} AND follower_id = ${context.user.id} AND followee_id = ${found.id} RETURNING 1`
    if (gone.length > 0) context.emit(unfollowed, { follower: context.user.id, followee: found.id })
    return view(found, false)
  },
})

/** Of these people, the ones that the follower follows. */
export const followedBy = profiles.query({
  input: z.object({ follower: z.string(), people: z.array(z.string()) }),
  output: z.array(z.string()),
  key: ({ follower }) => keyOfId(follower),
  async run(context, { follower, people }) {
    const rows = await context.sql<{ followee_id: string }>`
      SELECT followee_id FROM follow WHERE bucket = ${context.bucket} AND follower_id = ${follower} AND followee_id = ANY (${people}::uuid[])`
    return rows.map(row => row.followee_id)
  },
})
