/** Later work: a mail of welcome, and telling followers about new articles. */
import { createHash } from 'node:crypto'
import { keyOfId } from 'tenfold'
import { z } from 'zod'
import { sendMail } from './mail.ts'
import { notifications } from './service.ts'

export const welcomeMail = notifications.job({
  outside: true,
  input: z.object({ email: z.string(), username: z.string() }),
  run: (_, { email, username }) => sendMail({
    id: createHash('sha256').update(email).digest('hex').slice(0, 32), to: email,
    subject: 'Welcome to Conduit', text: `Hello ${username},\n\nwelcome to Conduit.\n`,
  }),
})

export const announce = notifications.job({
  input: z.object({ article: z.string(), author: z.string() }),
  key: ({ author }) => keyOfId(author),
  async run(context, { article, author }) {
    context.write`INSERT INTO announcement (bucket, article_id, author_id, announced_at) VALUES (${context.bucket}, ${article}, ${author}, ${context.now})`
  },
})

/** Once a day, a mail to whoever runs this Conduit: how much happened. */
export const dailyReport = notifications.job({
  cron: '17 3 * * *', outside: true,
  input: z.object({}),
  async run(context) {
    const since = new Date(context.now.getTime() - 86_400_000)
    const [row] = await context.sql<{ total: number }>`SELECT count(*) AS total FROM notification WHERE created_at >= ${since}`
    const day = context.now.toISOString().slice(0, 10)
    await sendMail({ id: `report-${day}`, to: process.env.OPERATOR_MAIL ?? 'operator@localhost', subject: `Conduit on ${day}`, text: `${row!.total} notifications in the last 24 hours.\n` })
  },
})
