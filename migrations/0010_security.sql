-- a second net under the isolation of creators, and how much each may upload
-- depends: 0009_erasure

-- migrate: apply

-- For whom a session reads: a creator, or '*', which no creator can be called: the service itself,
-- for its loops, its auditors and its commands. Its pools say so when they connect. A session that
-- never said anything is one of an earlier version, and reads all as it did.
CREATE FUNCTION read_for() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('codex_media.creator', true), '*');

-- To the end of the transaction, read as this creator alone.
CREATE FUNCTION act_for(p_creator text) RETURNS text
LANGUAGE sql VOLATILE
RETURN set_config('codex_media.creator', CASE WHEN p_creator = '*' THEN '' ELSE p_creator END, true);

-- Whoever forgets a condition on the creator is answered nothing that is not theirs. The owner, and
-- so the functions that append, is not held to it.
ALTER TABLE media_items ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON media_items FOR SELECT TO codex_media_app
    USING ((SELECT read_for()) IN (creator_id, '*'));
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON events FOR SELECT TO codex_media_app
    USING ((SELECT read_for()) = '*' OR EXISTS (SELECT FROM media_items m WHERE m.id = stream_id));
ALTER TABLE personal ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON personal FOR SELECT TO codex_media_app
    USING ((SELECT read_for()) = '*' OR EXISTS (SELECT FROM media_items m WHERE m.id = stream_id));
CREATE POLICY kept ON personal FOR INSERT TO codex_media_app WITH CHECK (true);

-- What creators ask most, each in one round trip: who asks is said in the same call.
CREATE FUNCTION own_item(p_id uuid, p_creator text) RETURNS SETOF media_items
LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    acting text := act_for(p_creator);
BEGIN
    RETURN QUERY SELECT * FROM media_items m WHERE m.id = p_id AND m.creator_id = p_creator;
END $$;

-- Newest first, after a place in that order: those of one status, or all that were not erased.
CREATE FUNCTION own_items(
    p_creator text, p_status text, p_created_at timestamptz, p_id uuid, p_limit integer
) RETURNS SETOF media_items
LANGUAGE plpgsql ROWS 50 AS $$
DECLARE
    acting text := act_for(p_creator);
BEGIN
    RETURN QUERY SELECT * FROM media_items m
        WHERE m.creator_id = p_creator
          AND CASE WHEN p_status IS NULL THEN m.status <> 'erased' ELSE m.status = p_status END
          AND (p_created_at IS NULL OR (m.created_at, m.id) < (p_created_at, p_id))
        ORDER BY m.created_at DESC, m.id DESC
        LIMIT p_limit;
END $$;

-- Uploads that are about to be registered. A row counts until its item is there, and ten minutes at
-- most: longer takes no registration.
CREATE TABLE upload_reservations (
    media_id    uuid PRIMARY KEY,
    creator_id  text NOT NULL,
    size        bigint NOT NULL,
    reserved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX upload_reservations_of_creator ON upload_reservations (creator_id);
CREATE INDEX upload_reservations_by_age ON upload_reservations (reserved_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON upload_reservations TO codex_media_app;

-- Reserve a registration, one at a time for each creator, so that however many ask at once none
-- passes a limit that is not null. No row: reserved, or registered before. Else the limit that is
-- in the way, what is used of it, and for those of a day the seconds until the oldest item leaves.
-- Items from before `p_since` are not looked at.
CREATE FUNCTION reserve_upload(
    p_media_id uuid, p_creator text, p_size bigint, p_since timestamptz,
    p_uploading bigint, p_items_day bigint, p_bytes_day bigint, p_items bigint, p_bytes bigint
) RETURNS TABLE (quota text, used bigint, allowed bigint, retry_after_s double precision)
LANGUAGE plpgsql AS $$
DECLARE
    day_ago timestamptz := clock_timestamp() - interval '1 day';
    had record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('codex-media uploads of ' || p_creator, 0));
    IF EXISTS (SELECT FROM media_items m WHERE m.id = p_media_id) THEN
        RETURN;
    END IF;
    DELETE FROM upload_reservations r WHERE r.media_id IN (
        SELECT o.media_id FROM upload_reservations o
        WHERE o.reserved_at < clock_timestamp() - interval '10 minutes'
        LIMIT 1000 FOR UPDATE SKIP LOCKED);
    SELECT
        count(*) FILTER (WHERE status = 'uploading') AS uploading,
        count(*) FILTER (WHERE since > day_ago) AS items_day,
        coalesce(sum(size) FILTER (WHERE since > day_ago), 0)::bigint AS bytes_day,
        count(*) FILTER (WHERE status <> 'erased') AS items,
        coalesce(sum(size) FILTER (WHERE status <> 'erased'), 0)::bigint AS bytes,
        extract(epoch FROM min(since) FILTER (WHERE since > day_ago) - day_ago)::float8 AS wait_s
    INTO had
    FROM (
        SELECT m.status, m.declared_size AS size, m.created_at AS since
        FROM media_items m WHERE m.creator_id = p_creator AND m.created_at > p_since
        UNION ALL
        SELECT 'uploading', r.size, r.reserved_at
        FROM upload_reservations r
        WHERE r.creator_id = p_creator AND r.media_id <> p_media_id
          AND r.reserved_at > clock_timestamp() - interval '10 minutes'
          AND NOT EXISTS (SELECT FROM media_items m WHERE m.id = r.media_id)
    ) AS known;
    RETURN QUERY
        SELECT q.quota, q.used, q.allowed, q.retry_after_s
        FROM (VALUES
            ('items', had.items, 1::bigint, p_items, NULL::double precision),
            ('bytes', had.bytes, p_size, p_bytes, NULL),
            ('uploading', had.uploading, 1, p_uploading, NULL),
            ('items_day', had.items_day, 1, p_items_day, had.wait_s),
            ('bytes_day', had.bytes_day, p_size, p_bytes_day, had.wait_s)
        ) AS q (quota, used, wanted, allowed, retry_after_s)
        WHERE q.used + q.wanted > q.allowed
        LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO upload_reservations (media_id, creator_id, size)
        VALUES (p_media_id, p_creator, p_size) ON CONFLICT DO NOTHING;
    END IF;
END $$;

REVOKE ALL ON FUNCTION own_item, own_items, reserve_upload FROM PUBLIC;
GRANT EXECUTE ON FUNCTION own_item, own_items, reserve_upload TO codex_media_app;

-- migrate: rollback

DROP FUNCTION reserve_upload, own_items, own_item;
DROP TABLE upload_reservations;
DROP POLICY kept ON personal;
DROP POLICY own ON personal;
ALTER TABLE personal DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON events;
ALTER TABLE events DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON media_items;
ALTER TABLE media_items DISABLE ROW LEVEL SECURITY;
DROP FUNCTION act_for, read_for;
