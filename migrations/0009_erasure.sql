-- what is said of a person beside the history, and what an erasure takes away
-- depends: 0008_part_uploads

-- migrate: apply

INSERT INTO transitions_allowed (from_status, event_type, to_status) VALUES
    ('uploading',   'media.erased', 'erased'),
    ('uploaded',    'media.erased', 'erased'),
    ('transcoding', 'media.erased', 'erased'),
    ('ready',       'media.erased', 'erased'),
    ('failed',      'media.erased', 'erased');

ALTER TABLE media_items
    DROP CONSTRAINT media_items_status_check,
    ADD CONSTRAINT media_items_status_check CHECK (
        status IN ('uploading', 'uploaded', 'transcoding', 'ready', 'failed', 'erased')),
    ALTER COLUMN file_name DROP NOT NULL,
    ALTER COLUMN r2_key DROP NOT NULL;

-- The personal fields of events, which these commit to: SHA-256 over form, salt and fields. Written
-- in the append's transaction.
CREATE TABLE personal (
    stream_id uuid    NOT NULL,
    version   integer NOT NULL,
    salt      bytea   NOT NULL CHECK (octet_length(salt) = 32),
    fields    json    NOT NULL,
    PRIMARY KEY (stream_id, version)
);

-- Whose message it is, so that it can go with the item. What no event ever rested on stays unowned.
ALTER TABLE evidence ADD COLUMN stream_id uuid;
DROP TRIGGER append_only ON evidence;
UPDATE evidence v SET stream_id = e.stream_id FROM events e WHERE e.evidence = v.hash;
CREATE INDEX evidence_of_stream ON evidence (stream_id);

-- Rows of these two go when an event says so, and never otherwise, whoever tries.
CREATE FUNCTION refuse_unless_erased() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM public.events WHERE stream_id = OLD.stream_id AND type = 'media.erased';
    IF NOT FOUND THEN
        RAISE EXCEPTION '% of % is refused: no event says that % was erased',
            TG_OP, TG_TABLE_NAME, OLD.stream_id USING ERRCODE = 'CM004';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON personal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER erased_only BEFORE DELETE ON personal
    FOR EACH ROW EXECUTE FUNCTION refuse_unless_erased();
CREATE TRIGGER erased_only BEFORE DELETE ON evidence
    FOR EACH ROW EXECUTE FUNCTION refuse_unless_erased();
ALTER TABLE personal ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER erased_only;
ALTER TABLE evidence ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER erased_only;

-- Erased items whose objects are being removed. Nobody began to write any later than `written_at`.
CREATE TABLE erasures (
    media_id    uuid PRIMARY KEY,
    creator_id  text NOT NULL,
    erased_at   timestamptz NOT NULL,
    written_at  timestamptz NOT NULL,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries       integer NOT NULL DEFAULT 0,
    removed     bigint NOT NULL DEFAULT 0,
    last_error  text,
    finished_at timestamptz
);
CREATE INDEX erasures_due ON erasures (next_try_at) WHERE finished_at IS NULL;

-- Drop what the database holds of an erased item beside its history; how many rows that were. Called
-- again for what came in while it was erased. SQLSTATE CM004: no event says that it was.
CREATE FUNCTION drop_remains(p_stream_id uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    dropped bigint := 0;
    counted bigint;
BEGIN
    PERFORM FROM events WHERE stream_id = p_stream_id AND type = 'media.erased';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no event says that % was erased', p_stream_id USING ERRCODE = 'CM004';
    END IF;
    DELETE FROM personal WHERE stream_id = p_stream_id;
    GET DIAGNOSTICS counted = ROW_COUNT;
    dropped := dropped + counted;
    DELETE FROM evidence WHERE stream_id = p_stream_id;
    GET DIAGNOSTICS counted = ROW_COUNT;
    dropped := dropped + counted;
    -- The rows stay: a message that comes once more is known by its id.
    UPDATE webhook_inbox
        SET body = '', verdict = coalesce(verdict, 'erased'), next_try_at = NULL
        WHERE media_id = p_stream_id AND (body <> '' OR next_try_at IS NOT NULL);
    GET DIAGNOSTICS counted = ROW_COUNT;
    DELETE FROM progress WHERE media_id = p_stream_id;
    DELETE FROM outbox WHERE media_id = p_stream_id;
    RETURN dropped + counted;
END $$;

-- The event itself takes away what it says is gone, in the transaction that appends it.
CREATE FUNCTION erase_item() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO erasures (media_id, creator_id, erased_at, written_at)
    SELECT id, creator_id, NEW.recorded_at,
        CASE WHEN status IN ('ready', 'failed') THEN updated_at ELSE NEW.recorded_at END
    FROM media_items WHERE id = NEW.stream_id;
    UPDATE media_items SET file_name = NULL, r2_key = NULL WHERE id = NEW.stream_id;
    UPDATE vendor_jobs SET closed_at = NEW.recorded_at
        WHERE media_id = NEW.stream_id AND closed_at IS NULL;
    PERFORM drop_remains(NEW.stream_id);
    RETURN NULL;
END $$;
CREATE TRIGGER erases AFTER INSERT ON events
    FOR EACH ROW WHEN (NEW.type = 'media.erased') EXECUTE FUNCTION erase_item();

REVOKE ALL ON FUNCTION drop_remains, erase_item, refuse_unless_erased FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_remains TO codex_media_app;
GRANT SELECT, INSERT ON personal TO codex_media_app;
GRANT SELECT, UPDATE ON erasures TO codex_media_app;

-- As 0003 has it, and: personal fields stand in version 1 in the payload, later beside it; an
-- erased item shows nothing of its file. An erasure is the last event of its stream.
CREATE OR REPLACE VIEW media_items_folded AS
SELECT
    s.stream_id AS id,
    born."creatorId" AS creator_id,
    CASE s.moved_by
        WHEN 'media.registered' THEN 'uploading'
        WHEN 'media.upload_completed' THEN 'uploaded'
        WHEN 'media.upload_expired' THEN 'failed'
        WHEN 'media.transcoding_requested' THEN 'transcoding'
        WHEN 'media.transcoding_completed' THEN 'ready'
        WHEN 'media.transcoding_failed' THEN 'failed'
        WHEN 'media.retry_requested' THEN 'uploaded'
        WHEN 'media.erased' THEN 'erased'
    END AS status,
    born."mediaType" AS media_type,
    CASE WHEN s.moved_by <> 'media.erased'
        THEN coalesce(born."fileName", named.fields->>'fileName') END AS file_name,
    born."contentType" AS content_type,
    born."declaredSize" AS declared_size,
    CASE WHEN s.moved_by <> 'media.erased' THEN (s.uploaded->>'size')::bigint END AS size,
    CASE WHEN s.moved_by <> 'media.erased' THEN s.uploaded->>'etag' END AS etag,
    CASE WHEN s.moved_by <> 'media.erased'
        THEN coalesce(born."inputKey", named.fields->>'inputKey') END AS r2_key,
    made."hlsMasterPlaylistKey" AS hls_master_playlist_key,
    made."hlsPreviewKey" AS hls_preview_key,
    made."thumbnailKey" AS thumbnail_key,
    made."waveformKey" AS waveform_key,
    made."durationSeconds" AS duration_seconds,
    made.width,
    made.height,
    CASE s.failed_by
        WHEN 'media.upload_expired' THEN jsonb_build_object(
            'code', 'upload_expired', 'message', 'The file was not uploaded in time.',
            'retryable', false)
        WHEN 'media.transcoding_failed' THEN jsonb_build_object(
            'code', s.failure->'errorCode', 'message', coalesce(
                s.failure->'message',
                (SELECT p.fields->'message' FROM personal p
                    WHERE p.stream_id = s.stream_id AND p.version = s.failure_version),
                to_json('This text was erased.'::text)),
            'retryable', s.failure->'retryable')
    END AS transcoding_error,
    coalesce((s.requested->>'attempt')::integer, 0) AS transcoding_attempts,
    s.requested_or_submitted->>'runpodJobId' AS runpod_job_id,
    made.encoder,
    made."encoderNote" AS encoder_note,
    CASE s.timed_by
        WHEN 'media.registered' THEN born."uploadDeadline"
        WHEN 'media.transcoding_requested' THEN (s.requested->>'deadline')::timestamptz
    END AS deadline_at,
    s.version,
    s.created_at,
    s.updated_at
FROM (
    SELECT
        stream_id,
        count(*)::integer AS version,
        (array_agg(recorded_at ORDER BY version DESC))[count(*)] AS created_at,
        (array_agg(recorded_at ORDER BY version DESC))[1] AS updated_at,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.registered'))[1] AS registered,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.upload_completed'))[1] AS uploaded,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_requested'))[1] AS requested,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_completed'))[1] AS completed,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_failed'))[1] AS failure,
        (array_agg(version ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_failed'))[1] AS failure_version,
        (array_agg(payload ORDER BY version DESC) FILTER (WHERE type IN (
            'media.transcoding_requested', 'media.transcoding_submitted')
            ))[1] AS requested_or_submitted,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type NOT IN (
            'media.transcoding_submitted', 'media.transcoding_started')))[1] AS moved_by,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type IN (
            'media.upload_expired', 'media.transcoding_failed', 'media.retry_requested',
            'media.erased')))[1] AS failed_by,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type IN (
            'media.registered', 'media.upload_expired', 'media.transcoding_requested',
            'media.transcoding_completed', 'media.transcoding_failed', 'media.erased'
            )))[1] AS timed_by
    FROM events
    GROUP BY stream_id
) AS s
CROSS JOIN LATERAL json_to_record(s.registered) AS born (
    "creatorId" text, "mediaType" text, "fileName" text, "contentType" text,
    "declaredSize" bigint, "inputKey" text, "uploadDeadline" timestamptz)
LEFT JOIN LATERAL (
    SELECT p.fields FROM personal p WHERE p.stream_id = s.stream_id AND p.version = 1 OFFSET 0
) AS named ON true
CROSS JOIN LATERAL json_to_record(CASE WHEN s.moved_by = 'media.erased' THEN '{}'
    ELSE coalesce(s.completed, '{}') END) AS made (
    "hlsMasterPlaylistKey" text, "hlsPreviewKey" text, "thumbnailKey" text, "waveformKey" text,
    "durationSeconds" double precision, width integer, height integer, encoder text,
    "encoderNote" text);

-- migrate: rollback

CREATE OR REPLACE VIEW media_items_folded AS
SELECT
    s.stream_id AS id,
    born."creatorId" AS creator_id,
    CASE s.moved_by
        WHEN 'media.registered' THEN 'uploading'
        WHEN 'media.upload_completed' THEN 'uploaded'
        WHEN 'media.upload_expired' THEN 'failed'
        WHEN 'media.transcoding_requested' THEN 'transcoding'
        WHEN 'media.transcoding_completed' THEN 'ready'
        WHEN 'media.transcoding_failed' THEN 'failed'
        WHEN 'media.retry_requested' THEN 'uploaded'
    END AS status,
    born."mediaType" AS media_type,
    born."fileName" AS file_name,
    born."contentType" AS content_type,
    born."declaredSize" AS declared_size,
    (s.uploaded->>'size')::bigint AS size,
    s.uploaded->>'etag' AS etag,
    born."inputKey" AS r2_key,
    made."hlsMasterPlaylistKey" AS hls_master_playlist_key,
    made."hlsPreviewKey" AS hls_preview_key,
    made."thumbnailKey" AS thumbnail_key,
    made."waveformKey" AS waveform_key,
    made."durationSeconds" AS duration_seconds,
    made.width,
    made.height,
    CASE s.failed_by
        WHEN 'media.upload_expired' THEN jsonb_build_object(
            'code', 'upload_expired', 'message', 'The file was not uploaded in time.',
            'retryable', false)
        WHEN 'media.transcoding_failed' THEN jsonb_build_object(
            'code', s.failure->'errorCode', 'message', s.failure->'message',
            'retryable', s.failure->'retryable')
    END AS transcoding_error,
    coalesce((s.requested->>'attempt')::integer, 0) AS transcoding_attempts,
    s.requested_or_submitted->>'runpodJobId' AS runpod_job_id,
    made.encoder,
    made."encoderNote" AS encoder_note,
    CASE s.timed_by
        WHEN 'media.registered' THEN born."uploadDeadline"
        WHEN 'media.transcoding_requested' THEN (s.requested->>'deadline')::timestamptz
    END AS deadline_at,
    s.version,
    s.created_at,
    s.updated_at
FROM (
    SELECT
        stream_id,
        count(*)::integer AS version,
        (array_agg(recorded_at ORDER BY version DESC))[count(*)] AS created_at,
        (array_agg(recorded_at ORDER BY version DESC))[1] AS updated_at,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.registered'))[1] AS registered,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.upload_completed'))[1] AS uploaded,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_requested'))[1] AS requested,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_completed'))[1] AS completed,
        (array_agg(payload ORDER BY version DESC)
            FILTER (WHERE type = 'media.transcoding_failed'))[1] AS failure,
        (array_agg(payload ORDER BY version DESC) FILTER (WHERE type IN (
            'media.transcoding_requested', 'media.transcoding_submitted')
            ))[1] AS requested_or_submitted,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type NOT IN (
            'media.transcoding_submitted', 'media.transcoding_started')))[1] AS moved_by,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type IN (
            'media.upload_expired', 'media.transcoding_failed', 'media.retry_requested')
            ))[1] AS failed_by,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type IN (
            'media.registered', 'media.upload_expired', 'media.transcoding_requested',
            'media.transcoding_completed', 'media.transcoding_failed')))[1] AS timed_by
    FROM events
    GROUP BY stream_id
) AS s
CROSS JOIN LATERAL json_to_record(s.registered) AS born (
    "creatorId" text, "mediaType" text, "fileName" text, "contentType" text,
    "declaredSize" bigint, "inputKey" text, "uploadDeadline" timestamptz)
CROSS JOIN LATERAL json_to_record(coalesce(s.completed, '{}')) AS made (
    "hlsMasterPlaylistKey" text, "hlsPreviewKey" text, "thumbnailKey" text, "waveformKey" text,
    "durationSeconds" double precision, width integer, height integer, encoder text,
    "encoderNote" text);

DROP TRIGGER erases ON events;
DROP FUNCTION erase_item, drop_remains;
DROP TABLE erasures, personal;
DROP TRIGGER append_only ON evidence;
DROP TRIGGER erased_only ON evidence;
DROP FUNCTION refuse_unless_erased;
ALTER TABLE evidence DROP COLUMN stream_id;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE evidence ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE media_items
    DROP CONSTRAINT media_items_status_check,
    ADD CONSTRAINT media_items_status_check CHECK (
        status IN ('uploading', 'uploaded', 'transcoding', 'ready', 'failed')),
    ALTER COLUMN file_name SET NOT NULL,
    ALTER COLUMN r2_key SET NOT NULL;
DELETE FROM transitions_allowed WHERE event_type = 'media.erased';
