-- jobs that make chunks of a film for the job that has its attempt
-- depends: 0006_jobs_of_attempt

-- migrate: apply

-- One row for each that is wanted, until it is sure to have ended. They are not `vendor_jobs`: nobody
-- asks about them, and an attempt neither waits for them nor counts them.
CREATE TABLE assistants (
    media_id    uuid NOT NULL REFERENCES media_items,
    attempt     integer NOT NULL,
    number      integer NOT NULL,
    called_at   timestamptz,
    job_id      text,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (media_id, attempt, number)
);
CREATE INDEX assistants_due ON assistants (next_try_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON assistants TO codex_media_app;

-- migrate: rollback

DROP TABLE assistants;
