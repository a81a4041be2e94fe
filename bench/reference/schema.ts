/**
 * The tables of the reference server: what one would write by hand for one Postgres.
 * Indexes cover what the whole application needs (lists by author and by tag too), so that
 * a write pays the same upkeep as in a complete Conduit.
 */
export const createSchema = `
create table users (
  id uuid primary key default uuidv7(),
  email text not null unique,
  username text not null unique,
  password text not null,
  bio text,
  image text
);
create table follows (
  follower_id uuid not null references users on delete cascade,
  followee_id uuid not null references users on delete cascade,
  primary key (follower_id, followee_id)
);
create table articles (
  id uuid primary key default uuidv7(),
  slug text not null unique,
  title text not null,
  description text not null,
  body text not null,
  tags text[] not null default '{}',
  author_id uuid not null references users on delete cascade,
  favorites_count integer not null default 0,
  created_at timestamptz not null default date_trunc('milliseconds', now()),
  updated_at timestamptz not null default date_trunc('milliseconds', now())
);
create index articles_recent on articles (created_at desc, id desc);
create index articles_by_author on articles (author_id, created_at desc, id desc);
create index articles_by_tag on articles using gin (tags);
create table favorites (
  article_id uuid not null references articles on delete cascade,
  user_id uuid not null references users on delete cascade,
  primary key (article_id, user_id)
);
create index favorites_by_user on favorites (user_id);
create table tags (name text primary key);
`

export const dropSchema = 'drop table if exists tags, favorites, articles, follows, users cascade'
