/** Notes: short texts, each author's in the order of their making. */
import { service } from 'tenfold'
import { z } from 'zod'

export const notes = service('notes', { migrations: new URL('./migrations/', import.meta.url) })
  .tables<{ note: { id: string; author: string; text: string } }>()

const Note = z.object({ id: z.string(), author: z.string(), text: z.string() })

export const add = notes.command({
  http: 'POST /authors/:author/notes', status: 201, summary: 'Add a note',
  input: z.object({ author: z.string().min(1).max(100), text: z.string().min(1).max(10_000) }),
  output: Note,
  key: ({ author }) => author,
  run: (context, { author, text }) => context.db.insertInto('note').values({ id: context.newId(), author, text })
    .returning(['id', 'author', 'text']).executeTakeFirstOrThrow(),
})

export const list = notes.query({
  http: 'GET /authors/:author/notes', summary: 'The notes of an author, oldest first',
  input: z.object({ author: z.string().min(1).max(100) }),
  output: z.object({ notes: z.array(Note) }),
  key: ({ author }) => author,
  run: async (context, { author }) => ({
    notes: await context.db.selectFrom('note').select(['id', 'author', 'text']).where('author', '=', author).orderBy('id').execute(),
  }),
})
