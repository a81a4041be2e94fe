/**
 * The SQL of the reference server: one statement per request, and the JSON made in Postgres.
 *
 * row_to_json escapes as JSON.stringify does and, unlike json_build_object and json_agg, puts
 * no white space between its parts; so a statement's one text is the answer's body.
 */
export interface Statement {
  /** pg prepares a named statement once per connection. */
  readonly name: string
  readonly text: string
}

const moment = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

interface Viewed { readonly favorited: string; readonly following: string }

const anonymous: Viewed = { favorited: 'false', following: 'false' }
const viewer = (parameter: string): Viewed => ({
  favorited: `exists (select from favorites f where f.article_id = a.id and f.user_id = ${parameter}::uuid)`,
  following: `exists (select from follows w where w.follower_id = ${parameter}::uuid and w.followee_id = u.id)`,
})

/** The members of an article in the order of the RealWorld documents. */
const members = (viewed: Viewed, body: boolean) => `a.slug, a.title, a.description, ${body ? 'a.body, ' : ''}a.tags as "tagList",
  ${moment('a.created_at')} as "createdAt", ${moment('a.updated_at')} as "updatedAt",
  ${viewed.favorited} as favorited, a.favorites_count as "favoritesCount",
  (select author from (select u.username, u.bio, u.image, ${viewed.following} as following) author) as author`

/** The page's ids come from an index alone; only its rows are then fetched and joined. */
const list = (page: string, count: string, viewed: Viewed) => `
select concat('{"articles":[', (select string_agg(row_to_json(item)::text, ',') from (
  select ${members(viewed, false)}
  from (${page}) page join articles a on a.id = page.id join users u on u.id = a.author_id
  order by page.created_at desc, page.id desc) item),
'],"articlesCount":', (${count}), '}') as json`

/** The limit stands in the text, for there are few and the planner must know it: with a parameter it expects a tenth of the table. */
const newest = (table: string, limit: number, offset: string) => `select id, created_at from ${table} order by created_at desc, id desc limit ${limit} offset ${offset}`

function perLimit(name: string, text: (limit: number) => string): (limit: number) => Statement {
  const made = new Map<number, Statement>()
  return limit => {
    const known = made.get(limit) ?? { name: `${name}-${limit}`, text: text(limit) }
    made.set(limit, known)
    return known
  }
}

const single = (viewed: Viewed) => `
select row_to_json(item)::text as json from (
  select ${members(viewed, true)} from articles a join users u on u.id = a.author_id where a.slug = $1) item`

export const statements = {
  list: perLimit('list', limit => list(newest('articles', limit, '$1'), 'select count(*) from articles', anonymous)),
  listViewed: perLimit('list-viewed', limit => list(newest('articles', limit, '$1'), 'select count(*) from articles', viewer('$2'))),
  article: { name: 'article', text: single(anonymous) },
  articleViewed: { name: 'article-viewed', text: single(viewer('$2')) },
  feed: perLimit('feed', limit => `with mine as materialized (
    select a.id, a.created_at from follows w join articles a on a.author_id = w.followee_id where w.follower_id = $2)
  ${list(newest('mine', limit, '$1'), 'select count(*) from mine', viewer('$2'))}`),
  tags: { name: 'tags', text: `select array_to_json(array(select name from tags order by name))::text as json` },
  /** Data-modifying CTEs commit together: a transaction in one round trip. Sorted tags cannot deadlock. */
  create: {
    name: 'create',
    text: `with known as (
      insert into tags select distinct wanted.name from unnest($5::text[]) as wanted (name)
      where not exists (select from tags t where t.name = wanted.name) order by 1 on conflict do nothing),
    a as (insert into articles (slug, title, description, body, tags, author_id) values ($1, $2, $3, $4, $5, $6) returning *)
    select row_to_json(item)::text as json from (
      select ${members(anonymous, true)} from a join users u on u.id = a.author_id) item`,
  },
  login: { name: 'login', text: 'select id, email, username, password, bio, image from users where email = $1' },
} as const satisfies Record<string, Statement | ((limit: number) => Statement)>
