-- How many articles each bucket has: counting them would read what every favorite and comment has just changed.
CREATE TABLE shelf (
  bucket   smallint PRIMARY KEY,
  articles int NOT NULL
) WITH (fillfactor = 50);
INSERT INTO shelf SELECT bucket, count(*) FROM article GROUP BY bucket;

-- A read model of who follows an author.
CREATE TABLE follower (
  bucket      smallint NOT NULL,  -- of the author, like their articles
  author_id   uuid NOT NULL,
  follower_id uuid NOT NULL,
  PRIMARY KEY (bucket, author_id, follower_id)
);
