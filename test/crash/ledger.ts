/** What clients were told, and whether the database still says the same: nothing lost, nothing doubled. */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { monotonicMs, sleep } from '../../src/base/time.ts'

interface Author { readonly token: string; readonly username: string }

export class Ledger {
  /** Titles are unique: one title, one article. */
  readonly articles = new Map<string, 'acknowledged' | 'unknown'>()
  /** `<slug> <username>`. */
  readonly favorites = new Set<string>()
  /** What a writer saw that must never be: an acknowledged article that is not there a moment later. */
  readonly observed: string[] = []
  authors: Author[] = []
  unknown = 0

  get acknowledged(): number { return [...this.articles.values()].filter(one => one === 'acknowledged').length + this.favorites.size }

  /** Resolves when so many more writes have been acknowledged; fails when that takes longer than waitMs. */
  async more(count: number, waitMs: number): Promise<void> {
    const [wanted, deadlineMs] = [this.acknowledged + count, monotonicMs() + waitMs]
    while (this.acknowledged < wanted) {
      if (monotonicMs() > deadlineMs) throw new Error(`only ${this.acknowledged + count - wanted} of ${count} writes were acknowledged within ${waitMs} ms: it does not come back`)
      await sleep(20)
    }
  }

  async prepare(url: string): Promise<void> {
    this.authors = await Promise.all(Array.from({ length: 16 }, async (_, index) => {
      const user = { username: `w${index}-${randomUUID().slice(0, 8)}`, email: `${randomUUID()}@example.com`, password: 'password123' }
      // All at once hash their passwords at once, which a busy machine refuses some of.
      const answer = await send(url, '/api/users', undefined, { user }, AbortSignal.timeout(60_000))
      if (answer === null || answer === 404) throw new Error(`${user.username} could not be registered`)
      const { user: { token, username } } = answer as { user: Author }
      return { token, username }
    }))
  }

  /** What is wrong, in words; waits until read models and jobs have caught up, at most waitMs. */
  async verify(client: pg.Client, waitMs = 30_000): Promise<string[]> {
    const deadlineMs = monotonicMs() + waitMs
    for (;;) {
      const findings = await this.#look(client)
      if (findings.length === 0 || monotonicMs() > deadlineMs) return findings
      await sleep(250)
    }
  }

  async #look(client: pg.Client): Promise<string[]> {
    const findings: string[] = [...this.observed]
    const { rows } = await client.query<{ title: string; copies: number; entries: number; announced: number }>(`
      SELECT a.title, count(*)::int AS copies,
        count(e.article_id)::int AS entries, count(n.announced_at)::int AS announced
      FROM articles.article a LEFT JOIN feed.entry e ON e.article_id = a.id LEFT JOIN notifications.announcement n ON n.article_id = a.id
      GROUP BY a.title`)
    const found = new Map(rows.map(row => [row.title, row]))
    for (const [title, state] of this.articles) {
      const row = found.get(title)
      if (!row && state === 'acknowledged') findings.push(`lost: the article '${title}'`)
      if (row && row.copies !== 1) findings.push(`doubled: the article '${title}' is there ${row.copies} times`)
      if (row && row.entries !== row.copies) findings.push(`the feed has ${row.entries} entries of '${title}'`)
      if (row && row.announced !== row.copies) findings.push(`the job of '${title}' has had its effect ${row.announced} times`)
    }
    const favorites = await client.query<{ pair: string }>(`
      SELECT a.slug || ' ' || u.username AS pair FROM articles.favorite f JOIN articles.article a ON a.id = f.article_id JOIN accounts.account u ON u.id = f.user_id`)
    const pairs = new Set(favorites.rows.map(row => row.pair))
    for (const pair of this.favorites) if (!pairs.has(pair)) findings.push(`lost: the favorite ${pair}`)
    const sums = await client.query<{ what: string; wanted: string; is: string }>(`
      SELECT 'favorites counted' AS what, (SELECT count(*) FROM articles.favorite)::text AS wanted, (SELECT coalesce(sum(favorites_count), 0) FROM articles.article)::text AS is
      UNION ALL SELECT 'notifications', (SELECT count(*) FROM articles.favorite f JOIN articles.article a ON a.id = f.article_id WHERE f.user_id <> a.author_id)::text, (SELECT count(*) FROM notifications.notification)::text
      UNION ALL SELECT 'uses of tags', (SELECT coalesce(sum(cardinality(tags)), 0) FROM articles.article)::text, (SELECT coalesce(sum(uses), 0) FROM articles.tag)::text
      UNION ALL SELECT 'dead jobs', '0', (SELECT count(*) FROM tenfold.job WHERE dead_at IS NOT NULL)::text
      UNION ALL SELECT 'parked events', '0', (SELECT count(*) FROM tenfold.parked)::text`)
    for (const { what, wanted, is } of sums.rows) if (wanted !== is) findings.push(`${what}: ${is}, and it should be ${wanted}`)
    return findings
  }
}

/** One writer: publishes and favors until it is told to stop, repeating what failed under the same idempotency key. */
export async function write(url: string, ledger: Ledger, index: number, signal: AbortSignal): Promise<void> {
  const author = ledger.authors[index]!
  const reader = ledger.authors[(index + 1) % ledger.authors.length]!
  while (!signal.aborted) {
    const title = `from writer ${index} ${randomUUID()}`
    const published = await send(url, '/api/articles', author.token, { article: { title, description: 'd', body: 'b', tagList: [`w${index}`, 'all'] } }, signal)
    ledger.articles.set(title, published === null ? 'unknown' : 'acknowledged')
    if (published === null) { ledger.unknown++; continue }
    const { slug } = (published as { article: { slug: string } }).article
    const favored = await send(url, `/api/articles/${slug}/favorite`, reader.token, undefined, signal)
    if (favored === null) ledger.unknown++
    else if (favored === 404) ledger.observed.push(`lost: '${title}' was acknowledged and is not there`)
    else ledger.favorites.add(`${slug} ${reader.username}`)
  }
}

async function send(url: string, path: string, token: string | undefined, body: unknown, signal: AbortSignal): Promise<unknown> {
  const key = randomUUID()
  // After the stop a few more tries settle what was under way.
  for (let after = 0; after < 20; after += signal.aborted ? 1 : 0) {
    try {
      const answer = await fetch(url + path, {
        method: 'POST', signal: AbortSignal.timeout(15_000), body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...token ? { authorization: `Token ${token}` } : {}, 'idempotency-key': key },
      })
      const text = await answer.text()
      if (answer.ok) return JSON.parse(text)
      if (answer.status === 404) return 404
      if (answer.status < 500) throw new Error(`${answer.status} ${text}`)
    } catch (error) {
      if ((error as Error).message.startsWith('4')) throw error
    }
    await sleep(100)
  }
  return null
}
