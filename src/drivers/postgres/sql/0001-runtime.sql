-- The runtime's own tables, in the schema `tenfold` of every database it uses.
-- Application tables live in one schema per service. Plain SQL, to be read with any tool.

CREATE TABLE tenfold.meta (
  name  text PRIMARY KEY,
  value text NOT NULL
);
INSERT INTO tenfold.meta VALUES ('buckets', '4096'), ('bucket_hash', 'fnv1a32-murmur3fmix-top12');

-- Events and jobs, committed with the command that made them. (tx, seq) is the order of
-- delivery below the horizon: a row may be read once its tx is older than every running one.
CREATE TABLE tenfold.outbox (
  tx          xid8     NOT NULL DEFAULT pg_current_xact_id(),
  seq         bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
  bucket      smallint NOT NULL,
  id          uuid     NOT NULL,
  kind        text     NOT NULL CHECK (kind IN ('event', 'job')),
  name        text     NOT NULL,
  key         text     NOT NULL,
  payload     jsonb    NOT NULL,
  at          timestamptz NOT NULL,
  traceparent text,
  run_at      timestamptz,
  PRIMARY KEY (tx, seq)
);

-- How far each consumer has read the outbox.
CREATE TABLE tenfold.cursor (
  consumer   text   PRIMARY KEY,
  tx         xid8   NOT NULL DEFAULT '0',
  seq        bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Messages that failed, with all later ones of their key, until they pass or are given up (dead).
CREATE TABLE tenfold.parked (
  consumer text   NOT NULL,
  tx       xid8   NOT NULL,
  seq      bigint NOT NULL,
  id       uuid   NOT NULL,
  key      text   NOT NULL,
  message  jsonb  NOT NULL,
  attempts int    NOT NULL DEFAULT 0,
  next_at  timestamptz NOT NULL DEFAULT now(),
  dead_at  timestamptz,
  error    text,
  PRIMARY KEY (consumer, tx, seq)
);
CREATE INDEX parked_by_key ON tenfold.parked (consumer, key, tx, seq);

-- What each consumer has handled: a second delivery has no second effect.
CREATE TABLE tenfold.inbox (
  bucket   smallint NOT NULL,
  consumer text     NOT NULL,
  id       uuid     NOT NULL,
  at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, consumer, id)
);
CREATE INDEX inbox_by_age ON tenfold.inbox USING brin (at);

-- The first answer to each idempotency key.
CREATE TABLE tenfold.idempotency (
  bucket      smallint NOT NULL,
  scope       text     NOT NULL,
  key         text     NOT NULL,
  fingerprint text     NOT NULL,
  answer      jsonb    NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, scope, key)
);
CREATE INDEX idempotency_by_age ON tenfold.idempotency USING brin (at);

-- Values that are unique across all shards: a claim lives in the bucket of its value.
CREATE TABLE tenfold.claim (
  bucket  smallint NOT NULL,
  service text     NOT NULL,
  scope   text     NOT NULL,
  value   text     NOT NULL,
  owner   text     NOT NULL,
  state   text     NOT NULL DEFAULT 'confirmed' CHECK (state IN ('pending', 'confirmed')),
  expires timestamptz,
  PRIMARY KEY (bucket, service, scope, value)
);

-- Jobs that wait, run, or were given up (dead). A running job is leased to its worker, which
-- renews the lease while it lives; `seq` is the order of enqueuing.
CREATE TABLE tenfold.job (
  id           text   PRIMARY KEY,
  seq          bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  name         text   NOT NULL,
  payload      jsonb,
  serial       text,
  run_at       timestamptz NOT NULL,
  asked_at     timestamptz,
  attempts     int    NOT NULL DEFAULT 0,
  attempts_max int    NOT NULL,
  worker       text,
  leased_until timestamptz,
  dead_at      timestamptz,
  error        text
);
CREATE INDEX job_ready ON tenfold.job (run_at, seq) WHERE dead_at IS NULL;
CREATE INDEX job_by_serial ON tenfold.job (serial, seq) WHERE serial IS NOT NULL AND dead_at IS NULL;

-- The newest grant of each lease: the fencing token of whoever may act.
CREATE TABLE tenfold.lease (
  name       text   PRIMARY KEY,
  token      bigint NOT NULL,
  holder     text   NOT NULL,
  released   boolean NOT NULL DEFAULT false,
  granted_at timestamptz NOT NULL DEFAULT now()
);


-- Refuses a write to a row of another bucket than the transaction's (`tenfold.bucket`).
-- Attached to every keyed table, with the comparison in the trigger's WHEN so that the
-- function runs for refusals only.
CREATE FUNCTION tenfold.refuse_other_bucket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a command touches one key: this transaction owns bucket %, the row of %.% lies in bucket %',
    current_setting('tenfold.bucket', true), TG_TABLE_SCHEMA, TG_TABLE_NAME,
    CASE WHEN TG_OP = 'DELETE' THEN OLD.bucket ELSE NEW.bucket END
    USING ERRCODE = 'TF002', HINT = 'Emit an event and write the other row in its handler, under its own key.';
END $$;
