-- calls that may have queued a job, messages that wait, and what pauses dispatch
-- depends: 0004_append_sets

-- migrate: apply

-- Calls of /run that may have queued a job: counted before they are made, at most two an attempt.
CREATE TABLE run_calls (
    media_id  uuid NOT NULL REFERENCES media_items,
    attempt   integer NOT NULL,
    made      integer NOT NULL CHECK (made BETWEEN 0 AND 2),
    called_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (media_id, attempt)
);

-- While a row is here, no attempt is sent; a probe that succeeds removes it.
CREATE TABLE breakers (
    name          text PRIMARY KEY CHECK (name IN ('runpod_key', 'bucket')),
    reason        text NOT NULL,
    tripped_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_probe_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Which attempt a message is about, and when somebody looks at it (again). Rows from before were
-- all decided on the spot.
ALTER TABLE webhook_inbox
    ADD COLUMN media_id    uuid,
    ADD COLUMN attempt     integer,
    ADD COLUMN tries       integer NOT NULL DEFAULT 0,
    ADD COLUMN next_try_at timestamptz;
CREATE INDEX webhook_inbox_due ON webhook_inbox (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_inbox_quarantined ON webhook_inbox (received_at) WHERE verdict = 'quarantined';
CREATE INDEX webhook_inbox_of_attempt ON webhook_inbox (media_id, attempt);

GRANT SELECT, INSERT, UPDATE, DELETE ON run_calls, breakers TO codex_media_app;

-- migrate: rollback

DROP INDEX webhook_inbox_of_attempt, webhook_inbox_quarantined, webhook_inbox_due;
ALTER TABLE webhook_inbox
    DROP COLUMN media_id, DROP COLUMN attempt, DROP COLUMN tries, DROP COLUMN next_try_at;
DROP TABLE breakers, run_calls;
