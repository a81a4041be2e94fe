/** Facts about following. */
import { z } from 'zod'
import { profiles } from './service.ts'

const Following = z.object({ follower: z.string(), followee: z.string() })

export const followed = profiles.event(Following)
export const unfollowed = profiles.event(Following)
