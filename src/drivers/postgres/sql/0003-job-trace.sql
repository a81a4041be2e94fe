-- A job remembers what enqueued it, so that its trace goes on behind the queue.
ALTER TABLE tenfold.job ADD COLUMN traceparent text;
