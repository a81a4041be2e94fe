-- Rows of the runtime's tables belong to one service each, and the database keeps them
-- apart: row level security, with a policy per role made when its service is prepared.

ALTER TABLE tenfold.inbox ADD COLUMN service text;
UPDATE tenfold.inbox SET service = split_part(replace(consumer, 'schedule:', ''), '.', 1);
ALTER TABLE tenfold.inbox ALTER COLUMN service SET NOT NULL,
  DROP CONSTRAINT inbox_pkey, ADD PRIMARY KEY (bucket, service, consumer, id);

ALTER TABLE tenfold.idempotency ADD COLUMN service text;
UPDATE tenfold.idempotency SET service = split_part(scope, '.', 1);
ALTER TABLE tenfold.idempotency ALTER COLUMN service SET NOT NULL,
  DROP CONSTRAINT idempotency_pkey, ADD PRIMARY KEY (bucket, service, scope, key);

ALTER TABLE tenfold.claim       ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenfold.inbox       ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenfold.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenfold.outbox      ENABLE ROW LEVEL SECURITY;

-- Where the log stood when the row was written, which is before its commit: whoever has
-- seen the commit holds a position beyond it. Rows from before this column have the least.
ALTER TABLE tenfold.outbox ADD COLUMN lsn pg_lsn NOT NULL DEFAULT '0/0';
ALTER TABLE tenfold.outbox ALTER COLUMN lsn SET DEFAULT pg_current_wal_insert_lsn();
ALTER TABLE tenfold.parked ADD COLUMN lsn pg_lsn NOT NULL DEFAULT '0/0';

-- Dead letters may be many, and are not looked at when messages are delivered.
DROP INDEX tenfold.parked_by_key;
CREATE INDEX parked_waiting ON tenfold.parked (consumer, key, tx, seq) WHERE dead_at IS NULL;

-- The names a consumer reads; null for jobs and for those unknown yet.
ALTER TABLE tenfold.cursor ADD COLUMN names text[];
