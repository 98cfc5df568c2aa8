-- the sealed ledger, evidence, audit reads, and who may change what
-- depends: 0001_history

-- migrate: apply

CREATE TABLE ledger (
    seq      bigint PRIMARY KEY,
    position bigint NOT NULL UNIQUE REFERENCES events
);

-- One row: how far the ledger is sealed. The frontier is that of the Merkle tree over all leaves.
CREATE TABLE ledger_head (
    id       boolean PRIMARY KEY DEFAULT true CHECK (id),
    size     bigint NOT NULL,
    frontier bytea[] NOT NULL
);
INSERT INTO ledger_head (size, frontier) VALUES (0, '{}');

CREATE TABLE checkpoints (
    size      bigint PRIMARY KEY,
    root      bytea NOT NULL,
    key_id    text NOT NULL,
    note      text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What events rest on: raw webhook bodies and poll answers, by the hash that the event names.
CREATE TABLE evidence (
    hash    bytea PRIMARY KEY,
    kind    text NOT NULL CHECK (kind IN ('worker_callback', 'runpod_status')),
    body    bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (hash = sha256(body))
);

CREATE TABLE audit_reads (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor   text NOT NULL,
    what    text NOT NULL,
    read_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Give positions their place in the ledger. SQLSTATE CM003: another sealer was faster.
CREATE FUNCTION seal(p_size bigint, p_positions bigint[], p_frontier bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    taken bigint;
BEGIN
    UPDATE ledger_head SET size = size + cardinality(p_positions), frontier = p_frontier
        WHERE size = p_size;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the ledger is not at size %', p_size USING ERRCODE = 'CM003';
    END IF;
    DELETE FROM unsealed WHERE position = ANY (p_positions);
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken <> cardinality(p_positions) THEN
        RAISE EXCEPTION 'only % of % positions wait to be sealed', taken, cardinality(p_positions)
            USING ERRCODE = 'CM003';
    END IF;
    INSERT INTO ledger (seq, position)
        SELECT p_size + place, position
        FROM unnest(p_positions) WITH ORDINALITY AS sealed (position, place);
END $$;

-- Several appends in one transaction, each alone in its fate: what one is refused for does not
-- touch its neighbours. Requests are taken in the order of their streams, so that two batches
-- never wait for each other. `request` counts from 0; `failure` is an SQLSTATE and empty otherwise.
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

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: history is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'CM004';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_reads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ALWAYS: they fire under session_replication_role = replica too.
ALTER TABLE events ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE ledger ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE checkpoints ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE evidence ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE audit_reads ENABLE ALWAYS TRIGGER append_only;

-- The application's role. Roles belong to the whole server: another database, or an administrator
-- where the migrating role may not make roles, may have made it and granted it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'codex_media_app') THEN
        BEGIN
            CREATE ROLE codex_media_app NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        GRANT codex_media_app TO CURRENT_USER;
    ELSIF NOT pg_has_role(CURRENT_USER, 'codex_media_app', 'MEMBER') THEN
        GRANT codex_media_app TO CURRENT_USER;
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO codex_media_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO codex_media_app;
GRANT INSERT, UPDATE, DELETE ON outbox, vendor_jobs, progress TO codex_media_app;
GRANT INSERT, UPDATE ON webhook_inbox TO codex_media_app;
GRANT INSERT ON evidence, audit_reads, checkpoints TO codex_media_app;
REVOKE ALL ON FUNCTION append_events, append_batch, seal, write_projection, write_work FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events, append_batch, seal TO codex_media_app;

-- migrate: rollback

DROP FUNCTION append_batch, seal;
DROP TABLE audit_reads, evidence, checkpoints, ledger_head, ledger;
DROP TRIGGER append_only ON events;
DROP FUNCTION refuse_change;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM codex_media_app;
REVOKE ALL ON FUNCTION append_events FROM codex_media_app;
REVOKE USAGE ON SCHEMA public FROM codex_media_app;
