-- When each rate-limited name may be used in full again. A crash may forget it, so it costs no log.

CREATE UNLOGGED TABLE tenfold.rate (
  name    text PRIMARY KEY,
  full_at timestamptz NOT NULL
) WITH (fillfactor = 70);
