-- large files that arrive in parts: which upload of the bucket's takes which item's
-- depends: 0007_assistants

-- migrate: apply

-- No history and no projection: a row is there while the bucket may hold parts that nobody joined.
-- It knows all that is needed to give them up, so that it hangs on no other table.
CREATE TABLE part_uploads (
    media_id  uuid PRIMARY KEY,
    upload_id text NOT NULL,
    key       text NOT NULL,
    part_size bigint NOT NULL CHECK (part_size > 0),
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON part_uploads TO codex_media_app;

-- migrate: rollback

DROP TABLE part_uploads;
