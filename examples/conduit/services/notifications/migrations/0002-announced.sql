-- A row tells that followers have been told; what is still to be done is a job.
DELETE FROM announcement WHERE announced_at IS NULL;
ALTER TABLE announcement ALTER COLUMN announced_at SET NOT NULL;
