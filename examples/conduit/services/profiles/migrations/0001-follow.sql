CREATE TABLE follow (
  bucket      smallint NOT NULL,  -- of the follower
  follower_id uuid NOT NULL,
  followee_id uuid NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, follower_id, followee_id)
);
