-- the event history, its projection and the append function
-- depends:

-- migrate: apply

CREATE TABLE transitions_allowed (
    from_status text NOT NULL,
    event_type  text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, event_type)
);

INSERT INTO transitions_allowed (from_status, event_type, to_status) VALUES
    ('',            'media.registered',            'uploading'),
    ('uploading',   'media.upload_completed',      'uploaded'),
    ('uploading',   'media.upload_expired',        'failed'),
    ('uploaded',    'media.transcoding_requested', 'transcoding'),
    ('transcoding', 'media.transcoding_submitted', 'transcoding'),
    ('transcoding', 'media.transcoding_started',   'transcoding'),
    ('transcoding', 'media.transcoding_completed', 'ready'),
    ('transcoding', 'media.transcoding_failed',    'failed'),
    ('failed',      'media.retry_requested',       'uploaded');

CREATE TABLE streams (
    stream_id uuid PRIMARY KEY,
    version   integer NOT NULL,
    status    text NOT NULL,
    hash      bytea NOT NULL
);

CREATE TABLE events (
    position       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id      uuid NOT NULL REFERENCES streams,
    version        integer NOT NULL,
    event_id       uuid NOT NULL UNIQUE,
    type           text NOT NULL,
    schema_version integer NOT NULL,
    payload        json NOT NULL,
    actor          text NOT NULL CHECK (actor !~ E'[\\x01-\\x1f]'),
    correlation_id uuid NOT NULL,
    causation_id   uuid,
    traceparent    text CHECK (traceparent !~ E'[\\x01-\\x1f]'),
    evidence       bytea,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    prev_hash      bytea NOT NULL,
    hash           bytea NOT NULL,
    UNIQUE (stream_id, version)
);

-- Positions that no checkpoint covers yet. The sealer empties it.
CREATE TABLE unsealed (
    position bigint PRIMARY KEY
);

CREATE TABLE media_items (
    id                      uuid PRIMARY KEY,
    creator_id              text NOT NULL,
    status                  text NOT NULL
        CHECK (status IN ('uploading', 'uploaded', 'transcoding', 'ready', 'failed')),
    media_type              text NOT NULL CHECK (media_type IN ('video', 'audio')),
    file_name               text NOT NULL,
    content_type            text NOT NULL,
    declared_size           bigint NOT NULL,
    size                    bigint,
    etag                    text,
    r2_key                  text NOT NULL,
    hls_master_playlist_key text,
    hls_preview_key         text,
    thumbnail_key           text,
    waveform_key            text,
    duration_seconds        double precision,
    width                   integer,
    height                  integer,
    transcoding_error       jsonb,
    transcoding_attempts    integer NOT NULL,
    runpod_job_id           text,
    encoder                 text,
    encoder_note            text,
    deadline_at             timestamptz,
    version                 integer NOT NULL,
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL
);

CREATE INDEX media_items_by_creator ON media_items (creator_id, created_at DESC, id DESC);
CREATE INDEX media_items_by_deadline ON media_items (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE outbox (
    media_id    uuid NOT NULL REFERENCES media_items,
    attempt     integer NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries       integer NOT NULL DEFAULT 0,
    last_error  text,
    PRIMARY KEY (media_id, attempt)
);
CREATE INDEX outbox_due ON outbox (next_try_at);

CREATE TABLE vendor_jobs (
    job_id       text PRIMARY KEY,
    media_id     uuid NOT NULL REFERENCES media_items,
    attempt      integer NOT NULL,
    submitted_at timestamptz NOT NULL,
    next_poll_at timestamptz NOT NULL,
    polls        integer NOT NULL DEFAULT 0,
    closed_at    timestamptz
);
CREATE INDEX vendor_jobs_due ON vendor_jobs (next_poll_at) WHERE closed_at IS NULL;
CREATE INDEX vendor_jobs_of_media ON vendor_jobs (media_id) WHERE closed_at IS NULL;

CREATE TABLE progress (
    media_id   uuid PRIMARY KEY REFERENCES media_items,
    attempt    integer NOT NULL,
    percent    double precision NOT NULL,
    stage      text NOT NULL,
    rung       text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE webhook_inbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel     text NOT NULL CHECK (channel IN ('worker', 'runpod')),
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body        bytea NOT NULL,
    verdict     text,
    UNIQUE (channel, message_id)
);

CREATE FUNCTION utc_text(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- What is hashed of an event: its fields a line each, the payload last, exactly as stored.
CREATE FUNCTION event_text(e events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN concat_ws(E'\n',
    'codex-media.event.v1', e.stream_id, e.version, e.event_id, e.type, e.schema_version, e.actor,
    e.correlation_id, coalesce(e.causation_id::text, ''), coalesce(e.traceparent, ''),
    coalesce(encode(e.evidence, 'hex'), ''), utc_text(e.occurred_at), utc_text(e.recorded_at),
    encode(e.prev_hash, 'hex'), e.payload::text);

CREATE FUNCTION event_hash(e events) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(convert_to(event_text(e), 'UTF8'));

-- One round trip: locks the stream's head, checks version and transitions, chains the hashes,
-- writes events, projection, outbox and job list. Event ids that are there already make it answer
-- what was appended under them: a command may be sent again. SQLSTATE CM001: the stream is not at
-- the expected version. CM002: the lifecycle has no such transition.
CREATE FUNCTION append_events(
    p_stream_id uuid,
    p_expected_version integer,
    p_event_ids uuid[],
    p_types text[],
    p_schema_versions integer[],
    p_payloads text[],
    p_occurred_at timestamptz,
    p_actor text,
    p_correlation_id uuid,
    p_causation_id uuid,
    p_traceparent text,
    p_evidence bytea,
    p_row jsonb
) RETURNS SETOF events
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head streams;
    appended events;
    following text;
    written timestamptz;
BEGIN
    IF p_expected_version = 0 THEN
        INSERT INTO streams VALUES (p_stream_id, 0, '', '\x'::bytea) ON CONFLICT DO NOTHING;
    END IF;
    SELECT * INTO head FROM streams WHERE stream_id = p_stream_id FOR UPDATE;
    IF head.version IS DISTINCT FROM p_expected_version THEN
        RETURN QUERY SELECT * FROM events
            WHERE stream_id = p_stream_id AND event_id = ANY (p_event_ids) ORDER BY version;
        IF FOUND THEN
            RETURN;
        END IF;
        RAISE EXCEPTION 'stream % is at version %, not %',
            p_stream_id, coalesce(head.version, 0), p_expected_version USING ERRCODE = 'CM001';
    END IF;
    written := clock_timestamp();
    FOR i IN 1 .. cardinality(p_event_ids) LOOP
        SELECT to_status INTO following FROM transitions_allowed
            WHERE from_status = head.status AND event_type = p_types[i];
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no transition by % from %', p_types[i], head.status
                USING ERRCODE = 'CM002';
        END IF;
        appended := NULL;
        appended.position := nextval('events_position_seq');
        appended.stream_id := p_stream_id;
        appended.version := head.version + 1;
        appended.event_id := p_event_ids[i];
        appended.type := p_types[i];
        appended.schema_version := p_schema_versions[i];
        appended.payload := p_payloads[i]::json;
        appended.actor := p_actor;
        appended.correlation_id := p_correlation_id;
        appended.causation_id := p_causation_id;
        appended.traceparent := p_traceparent;
        appended.evidence := p_evidence;
        appended.occurred_at := p_occurred_at;
        appended.recorded_at := written;
        appended.prev_hash := head.hash;
        appended.hash := event_hash(appended);
        INSERT INTO events OVERRIDING SYSTEM VALUE VALUES (appended.*);
        INSERT INTO unsealed VALUES (appended.position);
        head.version := appended.version;
        head.status := following;
        head.hash := appended.hash;
        RETURN NEXT appended;
    END LOOP;
    UPDATE streams SET version = head.version, status = head.status, hash = head.hash
        WHERE stream_id = p_stream_id;
    IF (p_row->>'id', p_row->>'status', p_row->>'version') IS DISTINCT FROM
        (p_stream_id::text, head.status, head.version::text) THEN
        RAISE EXCEPTION 'the projected row of % does not fit its events', p_stream_id
            USING ERRCODE = 'CM002';
    END IF;
    PERFORM write_projection(p_row, written);
    PERFORM write_work(p_stream_id, p_types, p_row, written);
END $$;

CREATE FUNCTION write_projection(p_row jsonb, p_written timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    item media_items := jsonb_populate_record(NULL::media_items, p_row);
BEGIN
    item.created_at := p_written;
    item.updated_at := p_written;
    INSERT INTO media_items VALUES (item.*)
    ON CONFLICT (id) DO UPDATE SET
        status = excluded.status, size = excluded.size, etag = excluded.etag,
        hls_master_playlist_key = excluded.hls_master_playlist_key,
        hls_preview_key = excluded.hls_preview_key, thumbnail_key = excluded.thumbnail_key,
        waveform_key = excluded.waveform_key, duration_seconds = excluded.duration_seconds,
        width = excluded.width, height = excluded.height,
        transcoding_error = excluded.transcoding_error,
        transcoding_attempts = excluded.transcoding_attempts,
        runpod_job_id = excluded.runpod_job_id, encoder = excluded.encoder,
        encoder_note = excluded.encoder_note, deadline_at = excluded.deadline_at,
        version = excluded.version, updated_at = excluded.updated_at;
END $$;

-- The work an append leaves behind: a request fills the outbox, an accepted job empties it and is
-- watched from then on, the end of an attempt closes both.
CREATE FUNCTION write_work(
    p_media_id uuid, p_types text[], p_row jsonb, p_written timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    attempt_number integer := (p_row->>'transcoding_attempts')::integer;
BEGIN
    IF 'media.transcoding_requested' = ANY (p_types) THEN
        INSERT INTO outbox (media_id, attempt) VALUES (p_media_id, attempt_number);
        DELETE FROM progress WHERE media_id = p_media_id;
    END IF;
    IF 'media.transcoding_submitted' = ANY (p_types) THEN
        DELETE FROM outbox WHERE media_id = p_media_id;
        INSERT INTO vendor_jobs (job_id, media_id, attempt, submitted_at, next_poll_at)
        VALUES (p_row->>'runpod_job_id', p_media_id, attempt_number, p_written,
                p_written + interval '15 seconds');
    END IF;
    IF p_row->>'status' IN ('ready', 'failed') THEN
        DELETE FROM outbox WHERE media_id = p_media_id;
        UPDATE vendor_jobs SET closed_at = p_written
            WHERE media_id = p_media_id AND closed_at IS NULL;
    END IF;
END $$;

-- migrate: rollback

DROP FUNCTION write_work;
DROP FUNCTION write_projection;
DROP FUNCTION append_events;
DROP FUNCTION event_hash;
DROP FUNCTION event_text;
DROP FUNCTION utc_text;
DROP TABLE webhook_inbox, progress, vendor_jobs, outbox, media_items, unsealed, events, streams,
    transitions_allowed;
