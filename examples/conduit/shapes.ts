/** The shapes that several services answer with, and the texts they accept. */
import { z } from 'zod'

const blank = "can't be blank"

/** A text without NUL, which Postgres cannot store, and without half a surrogate pair, which UTF-8 cannot carry. */
export const storable = (charactersMax: number) => z.string(blank)
  .max(charactersMax, `is too long (maximum is ${charactersMax} characters)`)
  .refine(text => !text.includes('\u0000') && text.isWellFormed(), 'has a character that cannot be stored')

export const required = (charactersMax: number) => storable(charactersMax).refine(text => text.trim() !== '', blank)

/** A text in a path or query: whatever it is, it can only be not found. */
export const address = z.string().max(1_024)

export const Profile = z.object({ username: z.string(), bio: z.string().nullable(), image: z.string().nullable(), following: z.boolean() })
export const Person = z.object({ id: z.string(), username: z.string(), bio: z.string().nullable(), image: z.string().nullable() })
export type Person = z.output<typeof Person>

export const Summary = z.object({
  slug: z.string(), title: z.string(), description: z.string(), tagList: z.array(z.string()),
  createdAt: z.string(), updatedAt: z.string(), favorited: z.boolean(), favoritesCount: z.number(), author: Profile,
})

export const Paging = { limit: z.coerce.number('must be a number').int('must be whole').min(1, 'must be at least 1').max(100, 'must be at most 100').default(20),
  offset: z.coerce.number('must be a number').int('must be whole').min(0, 'must not be negative').max(1_000_000, 'must be at most 1000000').default(0) }
