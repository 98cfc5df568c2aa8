-- the projection computed from the events alone, and the comparison with what is kept
-- depends: 0002_ledger

-- migrate: apply

-- What `evolve` and `project` of the domain make of every stream, as sets: one ordered scan of
-- the events, of which the last one of each kind matters. A condition on id goes down to the scan.
CREATE VIEW media_items_folded AS
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

-- Rows that are not what their events make of them, of the ids from the first to the last. One
-- statement sees one state of both: appends meanwhile make no difference. `kept` is null where the
-- row is missing, `folded` where there are no events.
CREATE FUNCTION projection_differences(p_first uuid, p_last uuid)
RETURNS TABLE (id uuid, kept jsonb, folded jsonb)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(k.id, f.id), to_jsonb(k), to_jsonb(f)
    FROM (SELECT * FROM media_items m WHERE m.id >= p_first AND m.id <= p_last) AS k
    FULL JOIN (SELECT * FROM media_items_folded m WHERE m.id >= p_first AND m.id <= p_last) AS f
        ON k.id = f.id
    WHERE ROW (k.*) IS DISTINCT FROM ROW (f.*)
$$;

-- What the continuous check found, and how far round it is.
CREATE TABLE projection_checks (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    upto       uuid NOT NULL,
    checked    integer NOT NULL,
    mismatched integer NOT NULL
);

GRANT SELECT ON media_items_folded, projection_checks TO codex_media_app;
GRANT INSERT, DELETE ON projection_checks TO codex_media_app;

-- migrate: rollback

DROP TABLE projection_checks;
DROP FUNCTION projection_differences;
DROP VIEW media_items_folded;
