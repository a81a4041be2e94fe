-- Whoever leads a consumer begins a new epoch. A cursor moves in the transaction of the effects,
-- under the role of the consumer's service, and only in the epoch that the transaction knows.
ALTER TABLE tenfold.cursor ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE tenfold.cursor ENABLE ROW LEVEL SECURITY;
