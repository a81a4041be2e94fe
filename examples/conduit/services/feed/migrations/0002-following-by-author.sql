-- Who follows an author lies with the author's entries, so that one statement makes a page of a feed.
-- An id carries its bucket: six bits behind the variant, and the six that follow.
UPDATE following SET bucket = (('x' || substr(followee_id::text, 20, 2))::bit(8)::int & 63) << 6 | ('x' || substr(followee_id::text, 22, 2))::bit(8)::int >> 2;
CREATE INDEX following_by_follower ON following (follower_id, followee_id);
COMMENT ON COLUMN following.bucket IS 'of the followee';
