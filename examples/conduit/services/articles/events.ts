/** Facts about articles. */
import { z } from 'zod'
import { articles } from './service.ts'

const Article = { id: z.string(), author: z.string(), tags: z.array(z.string()) }

export const published = articles.event(z.object({ ...Article, slug: z.string(), createdAt: z.string() }))
export const edited = articles.event(z.object({ ...Article, added: z.array(z.string()), removed: z.array(z.string()) }))
export const removed = articles.event(z.object(Article))
export const favorited = articles.event(z.object({ article: z.string(), author: z.string(), user: z.string() }))
