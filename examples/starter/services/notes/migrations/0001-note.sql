CREATE TABLE note (
  bucket smallint NOT NULL,
  id     uuid     NOT NULL,
  author text     NOT NULL,
  text   text     NOT NULL,
  PRIMARY KEY (bucket, id)
);
CREATE INDEX note_by_author ON note (bucket, author, id);
