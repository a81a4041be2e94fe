-- Everything about an article lies in its author's bucket.
CREATE TABLE article (
  bucket           smallint NOT NULL,
  id               uuid NOT NULL,
  slug             text NOT NULL,
  title            text NOT NULL,
  description      text NOT NULL,
  body             text NOT NULL,
  tags             text[] NOT NULL,
  author_id        uuid NOT NULL,
  favorites_count  int NOT NULL DEFAULT 0,
  comment_sequence int NOT NULL DEFAULT 0,
  created_at       timestamptz(3) NOT NULL,
  updated_at       timestamptz(3) NOT NULL,
  PRIMARY KEY (bucket, id),
  UNIQUE (bucket, slug)
);
CREATE INDEX article_by_time ON article (created_at DESC, id DESC);
CREATE INDEX article_by_author ON article (author_id, created_at DESC, id DESC);
CREATE INDEX article_by_tag ON article USING gin (tags);
CREATE INDEX article_by_id ON article (id);

CREATE TABLE favorite (
  bucket     smallint NOT NULL,
  article_id uuid NOT NULL,
  user_id    uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, article_id, user_id)
);
CREATE INDEX favorite_by_user ON favorite (user_id, article_id);

CREATE TABLE comment (
  bucket     smallint NOT NULL,
  article_id uuid NOT NULL,
  id         int NOT NULL,
  author_id  uuid NOT NULL,
  body       text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL,
  PRIMARY KEY (bucket, article_id, id)
);

-- Read models. An author lies in the bucket of their id, like their articles.
CREATE TABLE author (
  bucket   smallint NOT NULL,
  id       uuid NOT NULL,
  username text NOT NULL,
  bio      text,
  image    text,
  PRIMARY KEY (bucket, id)
);
CREATE INDEX author_by_username ON author (username);

CREATE TABLE tag (
  bucket smallint NOT NULL,  -- of the name
  name   text NOT NULL,
  uses   int NOT NULL,
  PRIMARY KEY (bucket, name)
);
