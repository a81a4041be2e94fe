-- Who has signed in. The key is a hash of what the client shows, so that a copy of this table lets nobody in.
CREATE TABLE tenfold.session (
  key        text PRIMARY KEY,
  subject    text NOT NULL,
  claims     text NOT NULL,
  idle       interval NOT NULL,
  idle_until timestamptz NOT NULL,
  ends_at    timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX session_by_subject ON tenfold.session (subject);
