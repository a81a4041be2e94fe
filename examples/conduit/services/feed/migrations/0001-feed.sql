-- Read models: who follows whom, and the articles of each author, newest first.
CREATE TABLE following (
  bucket      smallint NOT NULL,  -- of the follower
  follower_id uuid NOT NULL,
  followee_id uuid NOT NULL,
  PRIMARY KEY (bucket, follower_id, followee_id)
);
CREATE TABLE entry (
  bucket     smallint NOT NULL,  -- of the author
  author_id  uuid NOT NULL,
  created_at timestamptz(3) NOT NULL,
  article_id uuid NOT NULL,
  PRIMARY KEY (bucket, article_id)
);
CREATE INDEX entry_by_author ON entry (author_id, created_at DESC, article_id DESC);
