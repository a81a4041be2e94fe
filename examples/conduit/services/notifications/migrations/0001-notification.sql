CREATE TABLE notification (
  bucket       smallint NOT NULL,  -- of the recipient
  id           uuid NOT NULL,
  recipient_id uuid NOT NULL,
  actor_id     uuid NOT NULL,
  article_id   uuid NOT NULL,
  created_at   timestamptz(3) NOT NULL,
  PRIMARY KEY (bucket, id)
);
CREATE INDEX notification_by_recipient ON notification (recipient_id, created_at DESC);

-- Articles whose followers have not been told yet, and those that are done.
CREATE TABLE announcement (
  bucket       smallint NOT NULL,  -- of the author
  article_id   uuid NOT NULL,
  author_id    uuid NOT NULL,
  announced_at timestamptz,
  PRIMARY KEY (bucket, article_id)
);
