-- appends as sets: a batch costs a handful of statements, not a dozen for each of its events
-- depends: 0003_replay

-- migrate: apply

DROP FUNCTION append_batch, append_events, write_projection, write_work;

-- `seal` alone writes here, and takes each position from the queue, which append_batch alone fills
-- with those of its events; no role deletes or renumbers an event. The check found nothing, and was
-- more than half of what sealing costs the server.
ALTER TABLE ledger DROP CONSTRAINT ledger_position_fkey;

-- Write what was decided: no stream more than once.
CREATE FUNCTION write_set(
    p_events events[], p_heads streams[], p_items media_items[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    requested uuid[];
    submitted uuid[];
    ended uuid[];
BEGIN
    INSERT INTO events OVERRIDING SYSTEM VALUE SELECT * FROM unnest(p_events);
    INSERT INTO unsealed SELECT position FROM unnest(p_events);
    UPDATE streams s SET version = h.version, status = h.status, hash = h.hash
        FROM unnest(p_heads) AS h WHERE s.stream_id = h.stream_id;
    INSERT INTO media_items SELECT * FROM unnest(p_items)
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
    -- The work it leaves behind: a request fills the outbox, an accepted job empties it and is
    -- watched from then on, the end of an attempt closes both.
    SELECT array_agg(stream_id) FILTER (WHERE type = 'media.transcoding_requested'),
        array_agg(stream_id) FILTER (WHERE type = 'media.transcoding_submitted')
        INTO requested, submitted FROM unnest(p_events);
    SELECT array_agg(id) INTO ended FROM unnest(p_items) WHERE status IN ('ready', 'failed');
    IF requested IS NOT NULL THEN
        INSERT INTO outbox (media_id, attempt)
        SELECT id, transcoding_attempts FROM unnest(p_items) WHERE id = ANY (requested);
        DELETE FROM progress WHERE media_id = ANY (requested);
    END IF;
    IF submitted IS NOT NULL OR ended IS NOT NULL THEN
        DELETE FROM outbox WHERE media_id = ANY (submitted || ended);
    END IF;
    IF submitted IS NOT NULL THEN
        INSERT INTO vendor_jobs (job_id, media_id, attempt, submitted_at, next_poll_at)
        SELECT runpod_job_id, id, transcoding_attempts, updated_at,
            updated_at + interval '15 seconds'
        FROM unnest(p_items) WHERE id = ANY (submitted);
    END IF;
    IF ended IS NOT NULL THEN
        UPDATE vendor_jobs j SET closed_at = i.updated_at
        FROM unnest(p_items) AS i
        WHERE j.media_id = i.id AND j.closed_at IS NULL AND i.status IN ('ready', 'failed');
    END IF;
END $$;

-- Several appends in one transaction and one round trip. A request is a place in the arrays from
-- stream ids to rows; its events are those from p_firsts to p_lasts in the arrays after them. What
-- is answered: a row for each event appended; or one that says that the request was sent before
-- (`repeated`), its events being there already; or one with a `failure`, which is empty otherwise:
-- CM001, the stream is not at the expected version, or CM002, the lifecycle has no such transition
-- or the row does not fit. These touch no neighbour. Any other fault of one request, a constraint
-- that it breaks, is an error of all: send each by itself then. `request` counts from 0.
--
-- Each stream's head is locked first, in the order of the streams, so that no two batches ever wait
-- for each other; heads of new streams are made before that, while no other lock is held. There is
-- no subtransaction here: a row locked outside of one and updated in it costs a multixact.
CREATE FUNCTION append_batch(
    p_stream_ids uuid[],
    p_expected_versions integer[],
    p_firsts integer[],
    p_lasts integer[],
    p_occurred_at timestamptz[],
    p_actors text[],
    p_correlation_ids uuid[],
    p_causation_ids uuid[],
    p_traceparents text[],
    p_evidence bytea[],
    p_rows json[],
    p_event_ids uuid[],
    p_types text[],
    p_schema_versions integer[],
    p_payloads json[]
) RETURNS TABLE (
    request integer, failure text, message text, repeated boolean,
    "position" bigint, recorded_at timestamptz, prev_hash bytea, hash bytea)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    moves text[];
    arrivals text[];
    asked record;
    head streams;
    reached text;
    following text;
    one events;
    item media_items;
    made events[] := '{}';
    heads streams[] := '{}';
    items media_items[] := '{}';
    unwritten uuid;  -- the stream of the newest in these
    refused boolean := false;
BEGIN
    IF 0 = ANY (p_expected_versions) THEN
        INSERT INTO streams (stream_id, version, status, hash)
        SELECT DISTINCT stream_id, 0, '', '\x'::bytea
        FROM unnest(p_stream_ids, p_expected_versions) AS r (stream_id, expected_version)
        WHERE expected_version = 0
        ORDER BY stream_id
        ON CONFLICT DO NOTHING;
    END IF;
    SELECT array_agg(from_status || ' ' || event_type), array_agg(to_status)
        INTO moves, arrivals FROM transitions_allowed;
    FOR asked IN
        WITH locked AS MATERIALIZED (
            SELECT * FROM streams
            WHERE stream_id = ANY (p_stream_ids) AND version > 0  -- 0: made above, nobody sees it
            ORDER BY stream_id FOR UPDATE
        )
        SELECT r.*, h.version, h.status, h.hash, item
        FROM unnest(
            p_stream_ids, p_expected_versions, p_firsts, p_lasts, p_occurred_at, p_actors,
            p_correlation_ids, p_causation_ids, p_traceparents, p_evidence, p_rows
        ) WITH ORDINALITY AS r (
            stream_id, expected_version, first, last, occurred_at, actor,
            correlation_id, causation_id, traceparent, evidence, projected, place)
        LEFT JOIN locked h ON h.stream_id = r.stream_id
        CROSS JOIN LATERAL json_populate_record(NULL::media_items, r.projected) AS item
        ORDER BY r.stream_id, r.place
    LOOP
        request := asked.place - 1;
        failure := '';
        message := '';
        repeated := false;
        position := NULL;
        recorded_at := NULL;
        prev_hash := NULL;
        hash := NULL;
        IF asked.stream_id IS DISTINCT FROM head.stream_id THEN
            head := ROW(asked.stream_id, coalesce(asked.version, 0), coalesce(asked.status, ''),
                coalesce(asked.hash, '\x'))::streams;
        ELSIF unwritten = head.stream_id THEN  -- the next request may ask for what this one made
            PERFORM write_set(made, heads, items);
            made := '{}';
            heads := '{}';
            items := '{}';
            unwritten := NULL;
        END IF;
        IF head.version IS DISTINCT FROM asked.expected_version THEN
            PERFORM FROM events e WHERE e.stream_id = head.stream_id
                AND e.event_id = ANY (p_event_ids[asked.first : asked.last]);
            repeated := FOUND;
            IF NOT repeated THEN
                refused := true;
                failure := 'CM001';
                message := format('stream %s is at version %s, not %s',
                    head.stream_id, head.version, asked.expected_version);
            END IF;
            RETURN NEXT;
            CONTINUE;
        END IF;
        reached := head.status;
        FOR i IN asked.first .. asked.last LOOP
            following := arrivals[array_position(moves, reached || ' ' || p_types[i])];
            IF following IS NULL THEN
                failure := 'CM002';
                message := format('no transition by %s from %s', p_types[i], reached);
                EXIT;
            END IF;
            reached := following;
        END LOOP;
        item := asked.item;
        IF failure = '' AND (item.id, item.status, item.version) IS DISTINCT FROM
            (head.stream_id, reached, head.version + asked.last - asked.first + 1) THEN
            failure := 'CM002';
            message := format('the projected row of %s does not fit its events', head.stream_id);
        END IF;
        IF failure <> '' THEN
            refused := true;
            RETURN NEXT;
            CONTINUE;
        END IF;
        recorded_at := clock_timestamp();
        FOR i IN asked.first .. asked.last LOOP
            one := ROW(nextval('events_position_seq'), head.stream_id, head.version + 1,
                p_event_ids[i], p_types[i], p_schema_versions[i], p_payloads[i], asked.actor,
                asked.correlation_id, asked.causation_id, asked.traceparent, asked.evidence,
                asked.occurred_at, recorded_at, head.hash, '\x'::bytea)::events;
            one.hash := event_hash(one);
            made := made || one;
            head.version := one.version;
            head.hash := one.hash;
            position := one.position;
            prev_hash := one.prev_hash;
            hash := one.hash;
            RETURN NEXT;
        END LOOP;
        head.status := reached;
        item.created_at := recorded_at;
        item.updated_at := recorded_at;
        heads := heads || head;
        items := items || item;
        unwritten := head.stream_id;
    END LOOP;
    PERFORM write_set(made, heads, items);
    IF refused THEN  -- a stream that was refused its first event is none
        DELETE FROM streams WHERE stream_id = ANY (p_stream_ids) AND version = 0;
    END IF;
END $$;

-- One append, for a transaction of one's own: answers the events as they lie in the table, and
-- raises what append_batch answers as a failure.
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
    answer record;
BEGIN
    FOR answer IN
        SELECT failure, message FROM append_batch(ARRAY[p_stream_id],
            ARRAY[p_expected_version], ARRAY[1], ARRAY[cardinality(p_event_ids)],
            ARRAY[p_occurred_at], ARRAY[p_actor], ARRAY[p_correlation_id],
            ARRAY[p_causation_id], ARRAY[p_traceparent], ARRAY[p_evidence],
            ARRAY[p_row::json], p_event_ids, p_types, p_schema_versions, p_payloads::json[])
    LOOP
        IF answer.failure <> '' THEN
            RAISE EXCEPTION USING ERRCODE = answer.failure, MESSAGE = answer.message;
        END IF;
    END LOOP;
    RETURN QUERY SELECT * FROM events
        WHERE stream_id = p_stream_id AND event_id = ANY (p_event_ids) ORDER BY version;
END $$;

REVOKE ALL ON FUNCTION append_events, append_batch, write_set FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events, append_batch TO codex_media_app;

-- migrate: rollback

DROP FUNCTION append_events, append_batch, write_set;
ALTER TABLE ledger ADD CONSTRAINT ledger_position_fkey FOREIGN KEY (position) REFERENCES events;

-- As 0001 and 0002 have them.
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

CREATE FUNCTION append_batch(p_requests jsonb)
RETURNS TABLE (request integer, failure text, message text, appended events)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    asked record;
    one events;
BEGIN
    FOR asked IN
        SELECT r.*
        FROM ROWS FROM (jsonb_to_recordset(p_requests) AS (
            stream_id uuid, expected_version integer, event_ids uuid[], types text[],
            schema_versions integer[], payloads text[], occurred_at timestamptz, actor text,
            correlation_id uuid, causation_id uuid, traceparent text, evidence text, projected jsonb
        )) WITH ORDINALITY AS r (
            stream_id, expected_version, event_ids, types, schema_versions, payloads, occurred_at,
            actor, correlation_id, causation_id, traceparent, evidence, projected, place)
        ORDER BY r.stream_id, r.place
    LOOP
        BEGIN
            FOR one IN
                SELECT * FROM append_events(
                    asked.stream_id, asked.expected_version, asked.event_ids, asked.types,
                    asked.schema_versions, asked.payloads, asked.occurred_at, asked.actor,
                    asked.correlation_id, asked.causation_id, asked.traceparent,
                    decode(asked.evidence, 'hex'), asked.projected)
            LOOP
                request := asked.place - 1;
                failure := '';
                message := '';
                appended := one;
                RETURN NEXT;
            END LOOP;
        EXCEPTION WHEN OTHERS THEN
            request := asked.place - 1;
            failure := SQLSTATE;
            message := SQLERRM;
            appended := NULL;
            RETURN NEXT;
        END;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION append_events, append_batch, write_projection, write_work FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events, append_batch TO codex_media_app;
