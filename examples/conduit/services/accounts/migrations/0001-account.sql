CREATE TABLE account (
  bucket     smallint NOT NULL,
  id         uuid NOT NULL,
  email      text NOT NULL,
  username   text NOT NULL,
  password   text NOT NULL,
  bio        text,
  image      text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, id)
);
CREATE INDEX account_by_id ON account (id);
