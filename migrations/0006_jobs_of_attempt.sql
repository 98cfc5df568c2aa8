-- how many jobs an attempt had, closed ones too, without reading those of everybody else
-- depends: 0005_completion

-- migrate: apply

CREATE INDEX vendor_jobs_of_attempt ON vendor_jobs (media_id, attempt);
DROP INDEX vendor_jobs_of_media;

-- migrate: rollback

CREATE INDEX vendor_jobs_of_media ON vendor_jobs (media_id) WHERE closed_at IS NULL;
DROP INDEX vendor_jobs_of_attempt;
