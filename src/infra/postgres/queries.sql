-- Every statement the service sends, named. A line of purpose stands over each.

-- name: now
-- The database's clock, the only one deadlines are kept on.
SELECT clock_timestamp();

-- name: append
-- Appends with projection, outbox and job list: one round trip, one transaction, each by itself.
SELECT request, failure, message, repeated, position, recorded_at, prev_hash, hash
FROM append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: append_committing
-- The same where events commit to personal fields: those are kept if their request was appended.
WITH appended AS MATERIALIZED (
    SELECT request, failure, message, repeated, position, recorded_at, prev_hash, hash
    FROM append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
), kept AS (
    INSERT INTO personal (stream_id, version, salt, fields)
    SELECT p.stream_id, p.version, p.salt, p.fields
    FROM unnest($16::integer[], $17::uuid[], $18::integer[], $19::bytea[], $20::json[])
        AS p (request, stream_id, version, salt, fields)
    WHERE p.request IN (SELECT request FROM appended WHERE failure = '' AND NOT repeated)
)
SELECT * FROM appended;

-- name: appended_before
-- What an earlier sending of the same command appended.
SELECT e.*, p.salt, p.fields FROM events e LEFT JOIN personal p USING (stream_id, version)
WHERE e.stream_id = $1 AND e.event_id = ANY ($2::uuid[]) ORDER BY e.version;

-- name: load_stream
-- A stream's history in order, with the personal fields that were not erased. With an owner, that
-- creator's alone: what is foreign is not read, so that it takes no longer than what is missing.
SELECT e.*, p.salt, p.fields FROM events e LEFT JOIN personal p USING (stream_id, version)
WHERE e.stream_id = $1
    AND ($2::text IS NULL OR EXISTS (SELECT FROM media_items WHERE id = $1 AND creator_id = $2))
ORDER BY e.version;

-- name: item
-- One creator's item with the progress of its running attempt. Foreign and missing look alike.
SELECT m.*, p.percent, p.stage, p.rung, p.updated_at AS progress_at
FROM own_item($1, $2) m
LEFT JOIN progress p ON p.media_id = m.id AND p.attempt = m.transcoding_attempts
    AND m.status = 'transcoding';

-- name: item_state
-- What an answer about an item depends on: its version, and when its progress was noted.
SELECT m.version, p.updated_at
FROM own_item($1, $2) m
LEFT JOIN progress p ON p.media_id = m.id AND p.attempt = m.transcoding_attempts
    AND m.status = 'transcoding';

-- name: outputs
-- Where a ready item's output begins, for the bearer of a playback token.
SELECT hls_master_playlist_key FROM media_items WHERE id = $1 AND status = 'ready';

-- name: list_items
-- One page of a creator's items, newest first, after a cursor: those of one status, or all that
-- were not erased.
SELECT * FROM own_items($1, $2, $3, $4, $5) ORDER BY created_at DESC, id DESC;

-- name: act_for
-- To the end of the transaction, read as one creator alone.
SELECT act_for($1);

-- name: reserve_upload
-- Reserve a registration within the quotas from $5 on; else the one that is in the way.
SELECT quota, used, allowed, retry_after_s
FROM reserve_upload($1, $2, $3, clock_timestamp() - $4::interval, $5, $6, $7, $8, $9);

-- name: save_progress
-- Overwrite a running attempt's progress; a late message neither goes back nor touches another attempt.
INSERT INTO progress (media_id, attempt, percent, stage, rung)
SELECT m.id, $2, $3, $4, $5 FROM media_items m
WHERE m.id = $1 AND m.status = 'transcoding' AND m.transcoding_attempts = $2
ON CONFLICT (media_id) DO UPDATE SET
    attempt = excluded.attempt, percent = excluded.percent, stage = excluded.stage,
    rung = excluded.rung, updated_at = clock_timestamp()
WHERE progress.attempt < excluded.attempt OR progress.percent <= excluded.percent;

-- name: notify_progress
-- Tell listeners whose progress changed: payloads of ids.
SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS told (payload);

-- name: progress_of
-- How far those of these items are that run, and since when, for their creators' streams.
SELECT m.id, m.creator_id, m.version, p.percent, p.stage, p.rung, p.updated_at, (
    SELECT e.recorded_at FROM events e
    WHERE e.stream_id = m.id AND e.type = 'media.transcoding_started'
      AND (e.payload->>'attempt')::integer = m.transcoding_attempts
    ORDER BY e.version DESC LIMIT 1) AS started_at
FROM media_items m JOIN progress p ON p.media_id = m.id AND p.attempt = m.transcoding_attempts
WHERE m.id = ANY ($1::uuid[]) AND m.creator_id = ANY ($2::text[]) AND m.status = 'transcoding';

-- name: progress_of_creators
-- The same of all running items of these creators. What runs has a deadline: there is an index.
SELECT m.id, m.creator_id, m.version, p.percent, p.stage, p.rung, p.updated_at, (
    SELECT e.recorded_at FROM events e
    WHERE e.stream_id = m.id AND e.type = 'media.transcoding_started'
      AND (e.payload->>'attempt')::integer = m.transcoding_attempts
    ORDER BY e.version DESC LIMIT 1) AS started_at
FROM media_items m JOIN progress p ON p.media_id = m.id AND p.attempt = m.transcoding_attempts
WHERE m.creator_id = ANY ($1::text[]) AND m.status = 'transcoding' AND m.deadline_at IS NOT NULL;

-- name: part_upload
-- The upload in parts that takes an item's file.
SELECT media_id, upload_id, key, part_size FROM part_uploads WHERE media_id = $1;

-- name: keep_part_upload
-- Note an upload in parts: the item's first, or in the place of $5; no row where another was faster.
INSERT INTO part_uploads AS p (media_id, upload_id, key, part_size) VALUES ($1, $2, $3, $4)
ON CONFLICT (media_id) DO UPDATE SET
    upload_id = excluded.upload_id, key = excluded.key, part_size = excluded.part_size,
    begun_at = clock_timestamp()
WHERE p.upload_id = $5
RETURNING media_id, upload_id, key, part_size;

-- name: part_uploads_over
-- Uploads in parts whose items do not wait for a file any more.
SELECT p.media_id, p.upload_id, p.key, p.part_size
FROM part_uploads p LEFT JOIN media_items m ON m.id = p.media_id
WHERE m.status IS DISTINCT FROM 'uploading' ORDER BY p.begun_at LIMIT $1;

-- name: forget_part_upload
-- Nothing is left of an upload in parts.
DELETE FROM part_uploads WHERE media_id = $1 AND upload_id = $2;

-- name: take_dispatch
-- Lease one attempt that is due to be sent; others skip it until the lease ends.
UPDATE outbox SET next_try_at = clock_timestamp() + $1::interval, tries = tries + 1
WHERE (media_id, attempt) = (
    SELECT media_id, attempt FROM outbox
    WHERE next_try_at <= clock_timestamp() AND NOT EXISTS (SELECT FROM breakers)
    ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING media_id, attempt, tries;

-- name: take_dispatch_of
-- Lease one item's attempt for an immediate send, unless somebody has it already. An older attempt
-- can stand beside the newest: it was queued again in the moment in which it ended.
UPDATE outbox SET next_try_at = clock_timestamp() + $2::interval, tries = tries + 1
WHERE (media_id, attempt) = (
    SELECT media_id, attempt FROM outbox
    WHERE media_id = $1 AND next_try_at <= clock_timestamp() AND NOT EXISTS (SELECT FROM breakers)
    ORDER BY attempt DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING media_id, attempt, tries;

-- name: postpone_dispatch
-- Give a lease back with the time of the next try and the reason.
UPDATE outbox SET next_try_at = clock_timestamp() + $3::interval, last_error = $4
WHERE media_id = $1 AND attempt = $2;

-- name: add_dispatch
-- Queue an attempt again, after RunPod lost its job.
INSERT INTO outbox (media_id, attempt) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: drop_dispatch
-- Take an attempt off the outbox that needs no job any more.
DELETE FROM outbox WHERE media_id = $1 AND attempt = $2;

-- name: calls
-- The calls of /run for an attempt that may have queued a job, and seconds since the last began.
SELECT made, extract(epoch FROM clock_timestamp() - called_at)::float8
FROM run_calls WHERE media_id = $1 AND attempt = $2;

-- name: begin_call
-- Count a call before it is made; no row when the attempt has used up its calls.
INSERT INTO run_calls AS c (media_id, attempt, made) VALUES ($1, $2, 1)
ON CONFLICT (media_id, attempt) DO UPDATE SET made = c.made + 1, called_at = clock_timestamp()
WHERE c.made < 2
RETURNING made;

-- name: take_back_call
-- A call that was begun queued nothing.
UPDATE run_calls SET made = made - 1 WHERE media_id = $1 AND attempt = $2 AND made > 0;

-- name: trip
-- Pause dispatch, unless it is paused for this already.
INSERT INTO breakers (name, reason) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING;

-- name: take_probe
-- Lease a tripped breaker whose next probe is due.
UPDATE breakers SET next_probe_at = clock_timestamp() + $1::interval
WHERE name = (
    SELECT name FROM breakers WHERE next_probe_at <= clock_timestamp()
    ORDER BY next_probe_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING name;

-- name: reset
-- Dispatch may go on.
DELETE FROM breakers WHERE name = $1;

-- name: take_poll
-- Lease one open job that is due to be asked about: apart by $1 at first, growing to $2.
UPDATE vendor_jobs SET polls = polls + 1,
    next_poll_at = clock_timestamp() + least($1::interval * 1.5 ^ least(polls, 20), $2::interval)
WHERE job_id = (
    SELECT job_id FROM vendor_jobs
    WHERE closed_at IS NULL AND (next_poll_at <= clock_timestamp()
        OR polls = 0 AND submitted_at + $1::interval <= clock_timestamp())
    ORDER BY next_poll_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING job_id, media_id, attempt;

-- name: find_job
-- A recorded job, watched or not.
SELECT job_id, media_id, attempt FROM vendor_jobs WHERE job_id = $1;

-- name: poll_at_once
-- Ask about a job now: RunPod's webhook hinted that it ended.
UPDATE vendor_jobs SET next_poll_at = clock_timestamp()
WHERE media_id = $1 AND attempt = $2 AND closed_at IS NULL;

-- name: close_job
-- Stop watching a job that does not do its attempt any more.
UPDATE vendor_jobs SET closed_at = clock_timestamp() WHERE job_id = $1 AND closed_at IS NULL;

-- name: close_for_another
-- Stop watching a job if the attempt has another one, or waits for one. The open jobs are locked in
-- order: of two that are given up at the same moment, the second sees that it is the last. An attempt
-- that was queued again too late, after its last job was recorded, waits for none.
WITH watched AS MATERIALIZED (
    SELECT job_id FROM vendor_jobs WHERE media_id = $1 AND closed_at IS NULL
    ORDER BY job_id FOR UPDATE
), another AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM watched WHERE job_id IS DISTINCT FROM $3)
        OR (EXISTS (SELECT FROM outbox WHERE media_id = $1 AND attempt = $2)
            AND 2 > (SELECT count(*) FROM vendor_jobs WHERE media_id = $1 AND attempt = $2))
        AS is_there
), closed AS (
    UPDATE vendor_jobs SET closed_at = clock_timestamp()
    WHERE job_id = $3 AND closed_at IS NULL AND (SELECT is_there FROM another)
)
SELECT is_there FROM another;

-- name: reopen_job
-- Watch a job again that works although it was given up.
UPDATE vendor_jobs SET closed_at = NULL WHERE job_id = $1;

-- name: open_jobs
-- The jobs of an item that may still run.
SELECT job_id, attempt FROM vendor_jobs WHERE media_id = $1 AND closed_at IS NULL;

-- name: want_assistants
-- Note that a running attempt could do with so many jobs that help it; once each.
INSERT INTO assistants (media_id, attempt, number)
SELECT m.id, $2, number FROM media_items m, generate_series(1, $3::integer) AS number
WHERE m.id = $1 AND m.status = 'transcoding' AND m.transcoding_attempts = $2
ON CONFLICT DO NOTHING;

-- name: take_assistant
-- Lease one that is to be called for the first time, or that is to be dismissed because its attempt is
-- over. A call is noted before it is made: there is never a second.
UPDATE assistants SET called_at = coalesce(called_at, clock_timestamp()),
    next_try_at = clock_timestamp() + $1::interval
WHERE (media_id, attempt, number) = (
    SELECT a.media_id, a.attempt, a.number FROM assistants a JOIN media_items m ON m.id = a.media_id
    WHERE a.next_try_at <= clock_timestamp() AND (a.called_at IS NULL
        OR m.status <> 'transcoding' OR m.transcoding_attempts <> a.attempt)
    ORDER BY a.next_try_at LIMIT 1 FOR UPDATE OF a SKIP LOCKED)
RETURNING media_id, attempt, number, job_id;

-- name: assistant_sent
-- The job that an assistant is.
UPDATE assistants SET job_id = $4, next_try_at = clock_timestamp()
WHERE media_id = $1 AND attempt = $2 AND number = $3;

-- name: forget_assistant
-- It has ended, or was never sent.
DELETE FROM assistants WHERE media_id = $1 AND attempt = $2 AND number = $3;

-- name: overdue
-- Items whose state has outlived its deadline.
SELECT id, status, transcoding_attempts FROM media_items
WHERE deadline_at <= clock_timestamp() ORDER BY deadline_at LIMIT $1;

-- name: receive
-- Keep a message before anything is made of it, leased to its receiver for $6. No row for one that
-- was kept before, nor beyond $7 messages of one channel about one attempt.
INSERT INTO webhook_inbox (channel, message_id, media_id, attempt, body, tries, next_try_at)
SELECT $1, $2, $3, $4, $5, 1, clock_timestamp() + $6::interval
WHERE $7 > (SELECT count(*) FROM webhook_inbox
            WHERE media_id = $3 AND attempt = $4 AND channel = $1)
ON CONFLICT (channel, message_id) DO NOTHING RETURNING id;

-- name: received_before
-- What became of a message that came before.
SELECT id, verdict FROM webhook_inbox WHERE channel = $1 AND message_id = $2;

-- name: traceparent_of
-- The newest trace that a stream's events name.
SELECT traceparent FROM events WHERE stream_id = $1 AND traceparent IS NOT NULL
ORDER BY version DESC LIMIT 1;

-- name: take_message
-- Lease a message whose time has come.
UPDATE webhook_inbox SET tries = tries + 1, next_try_at = clock_timestamp() + $1::interval
WHERE id = (
    SELECT id FROM webhook_inbox WHERE next_try_at <= clock_timestamp()
    ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, channel, media_id, attempt, body,
    extract(epoch FROM clock_timestamp() - received_at)::float8, tries;

-- name: set_verdict
-- Note what became of a message. Of one about an erased item nothing is kept but that it came.
UPDATE webhook_inbox i SET verdict = $2, next_try_at = NULL, body = CASE WHEN EXISTS (
    SELECT FROM media_items m WHERE m.id = i.media_id AND m.status = 'erased') THEN '' ELSE body END
WHERE id = $1;

-- name: postpone_message
-- Look at a message again later.
UPDATE webhook_inbox SET next_try_at = clock_timestamp() + $2::interval
WHERE id = $1 AND verdict IS NULL;

-- name: transitions
-- The lifecycle as the database enforces it.
SELECT from_status, event_type, to_status FROM transitions_allowed;

-- name: take_erasure
-- Lease an erased item whose objects are due to be looked for.
UPDATE erasures SET tries = tries + 1, next_try_at = clock_timestamp() + $1::interval
WHERE media_id = (
    SELECT media_id FROM erasures WHERE finished_at IS NULL AND next_try_at <= clock_timestamp()
    ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING media_id, creator_id, tries, written_at = erased_at;

-- name: drop_remains
-- Drop what the database got of an erased item since.
SELECT drop_remains($1);

-- name: swept
-- Note what a look for objects removed. The last one finds none, when nobody can write any more.
UPDATE erasures SET removed = removed + $2::bigint, last_error = NULL,
    next_try_at = clock_timestamp() + $4::interval,
    finished_at = CASE WHEN $2 = 0 AND written_at + $3::interval <= clock_timestamp()
        THEN clock_timestamp() END
WHERE media_id = $1
RETURNING finished_at IS NOT NULL;

-- name: postpone_erasure
-- Look again later, and why.
UPDATE erasures SET next_try_at = clock_timestamp() + $2::interval, last_error = $3
WHERE media_id = $1;

-- name: overage
-- Of the items after an id, those that were kept for long enough; how many were looked at, and the
-- last of them.
SELECT array_agg(id ORDER BY id) FILTER (WHERE status <> 'erased' AND (
        created_at + $3::interval <= clock_timestamp()
        OR status = 'failed' AND updated_at + $4::interval <= clock_timestamp())) AS over,
    count(*) AS count, (array_agg(id ORDER BY id DESC))[1] AS last
FROM (SELECT id, status, created_at, updated_at FROM media_items WHERE id > $1 ORDER BY id LIMIT $2)
    AS page;

-- ledger: the sealer, global reading, proof

-- name: lease_sealer
-- Whether this transaction is the one that seals; until its end no other is.
SELECT pg_try_advisory_xact_lock(hashtextextended('codex-media sealer', 0));

-- name: ledger_head
-- How far the ledger is sealed and signed.
SELECT h.size, h.frontier, coalesce(c.size, 0), c.signed_at, clock_timestamp()
FROM ledger_head h
LEFT JOIN (SELECT size, signed_at FROM checkpoints ORDER BY size DESC LIMIT 1) c ON true;

-- name: unsealed
-- The next events to seal, with the hashes that become leaves.
SELECT u.position, e.hash FROM unsealed u JOIN events e USING (position)
ORDER BY u.position LIMIT $1;

-- name: seal
-- Give positions their place, beginning after the ledger's size.
SELECT seal($1, $2, $3);

-- name: keep_checkpoint
-- Keep a signed checkpoint.
INSERT INTO checkpoints (size, root, key_id, note) VALUES ($1, $2, $3, $4);

-- name: notify_ledger
-- Tell listeners how long the ledger is now.
SELECT pg_notify($1, $2);

-- name: ledger_size
-- How many events the ledger holds.
SELECT size FROM ledger_head;

-- name: ledger_page
-- The events after a place in the ledger and up to another, in its order.
SELECT l.seq, e.*, p.salt, p.fields
FROM ledger l JOIN events e USING (position) LEFT JOIN personal p USING (stream_id, version)
WHERE l.seq > $1 AND l.seq <= $2 ORDER BY l.seq LIMIT $3;

-- name: changes
-- The events of some creators after a place in the ledger and up to another, with their items.
SELECT l.seq, e.type AS event_type, e.version AS event_version, m.*
FROM ledger l JOIN events e USING (position) JOIN media_items m ON m.id = e.stream_id
WHERE l.seq > $1 AND l.seq <= $2 AND m.creator_id = ANY ($3::text[]) ORDER BY l.seq;

-- name: changes_of
-- The same of one creator when that place is far back: of the items that changed since. What is
-- sealed after an event was recorded before it by the length of a transaction at most, and those
-- last seconds.
SELECT l.seq, e.type AS event_type, e.version AS event_version, m.*
FROM media_items m JOIN events e ON e.stream_id = m.id JOIN ledger l USING (position)
WHERE m.creator_id = $1 AND l.seq > $2 AND l.seq <= $3 AND m.updated_at >= coalesce((
    SELECT r.recorded_at - interval '10 minutes'
    FROM ledger f JOIN events r USING (position) WHERE f.seq = $2), '-infinity')
ORDER BY l.seq LIMIT $4;

-- name: newest_checkpoint
-- The checkpoint that covers most.
SELECT size, root, key_id, note, signed_at FROM checkpoints ORDER BY size DESC LIMIT 1;

-- name: checkpoint_page
-- Checkpoints after a size, in order.
SELECT size, note FROM checkpoints WHERE size > $1 ORDER BY size LIMIT $2;

-- name: stream_records
-- What is hashed of events, byte by byte, stream by stream, after a version of one.
SELECT e.stream_id, e.version, e.position, l.seq, event_text(e) AS preimage
FROM events e LEFT JOIN ledger l USING (position)
WHERE (e.stream_id, e.version) > ($1, $2) ORDER BY e.stream_id, e.version LIMIT $3;

-- name: personal_page
-- The personal fields that were not erased, after a version of a stream and up to another stream.
SELECT stream_id, version, encode(salt, 'hex') AS salt, fields::text AS fields FROM personal
WHERE (stream_id, version) > ($1, $2) AND stream_id <= $3 ORDER BY stream_id, version LIMIT $4;

-- name: sealed_hashes
-- The hashes of the events after a place in the ledger, in its order.
SELECT l.seq, e.hash FROM ledger l JOIN events e USING (position)
WHERE l.seq > $1 ORDER BY l.seq LIMIT $2;

-- name: unsealed_hashes
-- The hashes of the events after a position that no place was given to yet.
SELECT u.position, e.hash FROM unsealed u JOIN events e USING (position)
WHERE u.position > $1 ORDER BY u.position LIMIT $2;

-- name: projection_page
-- Rows of the projection as JSON, from an id to another.
SELECT id, to_jsonb(m)::text AS line FROM media_items m
WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT $3;

-- name: note_audit_read
-- Who read what of the audit interface.
INSERT INTO audit_reads (actor, what) VALUES ($1, $2);

-- Replay and the continuous check of the projection.

-- name: span_end
-- The stream that begins the next span of so many streams; no row in the last span.
SELECT stream_id FROM streams WHERE stream_id >= $1 ORDER BY stream_id OFFSET $2 LIMIT 1;

-- name: count_streams
-- How many streams there are, for a progress bar.
SELECT count(*) FROM streams;

-- name: count_span
-- How many streams a span has.
SELECT count(*) FROM streams WHERE stream_id >= $1 AND stream_id <= $2;

-- name: differences
-- Rows of a span that are not what their events make of them.
SELECT id, kept, folded FROM projection_differences($1, $2) ORDER BY id;

-- name: differences_of
-- The same of single items.
SELECT d.id, d.kept, d.folded
FROM unnest($1::uuid[]) AS one (id) CROSS JOIN LATERAL projection_differences(one.id, one.id) AS d
ORDER BY d.id;

-- name: stream_pages
-- How many pages the table of streams has now.
SELECT (pg_relation_size('streams') / current_setting('block_size')::integer)::integer;

-- name: on_pages
-- The streams on its pages from one up to another.
SELECT coalesce(array_agg(stream_id), '{}') FROM streams
WHERE ctid >= format('(%s,0)', $1::integer)::tid AND ctid < format('(%s,0)', $2::integer)::tid;

-- name: rebuilt_otherwise
-- Items of a span in which live and shadow table differ: changed since, or wrong.
SELECT coalesce(k.id, r.id) AS id
FROM (SELECT * FROM media_items WHERE id >= $1 AND id <= $2) AS k
FULL JOIN (SELECT * FROM media_items_rebuilt WHERE id >= $1 AND id <= $2) AS r ON k.id = r.id
WHERE ROW (k.*) IS DISTINCT FROM ROW (r.*)
ORDER BY id;

-- name: lock_heads
-- Hold the streams of these items as they are, in the order in which appends take them.
SELECT FROM streams WHERE stream_id = ANY ($1::uuid[]) ORDER BY stream_id FOR UPDATE;

-- name: forget_rebuilt
-- Make room in the shadow table for items that moved since.
DELETE FROM media_items_rebuilt WHERE id = ANY ($1::uuid[]);

-- name: rebuild_items
-- Fold these items into the shadow table.
INSERT INTO media_items_rebuilt SELECT * FROM media_items_folded WHERE id = ANY ($1::uuid[])
ON CONFLICT (id) DO NOTHING;

-- name: mend_rows
-- Make live rows equal to the shadow table's.
INSERT INTO media_items SELECT * FROM media_items_rebuilt WHERE id = ANY ($1::uuid[])
ON CONFLICT (id) DO UPDATE SET
    creator_id = excluded.creator_id, status = excluded.status,
    media_type = excluded.media_type, file_name = excluded.file_name,
    content_type = excluded.content_type, declared_size = excluded.declared_size,
    size = excluded.size, etag = excluded.etag, r2_key = excluded.r2_key,
    hls_master_playlist_key = excluded.hls_master_playlist_key,
    hls_preview_key = excluded.hls_preview_key, thumbnail_key = excluded.thumbnail_key,
    waveform_key = excluded.waveform_key, duration_seconds = excluded.duration_seconds,
    width = excluded.width, height = excluded.height,
    transcoding_error = excluded.transcoding_error,
    transcoding_attempts = excluded.transcoding_attempts,
    runpod_job_id = excluded.runpod_job_id, encoder = excluded.encoder,
    encoder_note = excluded.encoder_note, deadline_at = excluded.deadline_at,
    version = excluded.version, created_at = excluded.created_at,
    updated_at = excluded.updated_at;

-- name: drop_rows_without_events
-- Take away rows that no event speaks of, with the work that hangs on them.
WITH unfounded AS (
    SELECT id FROM unnest($1::uuid[]) AS one (id)
    WHERE NOT EXISTS (SELECT FROM media_items_rebuilt r WHERE r.id = one.id)
), progress_gone AS (
    DELETE FROM progress WHERE media_id IN (SELECT id FROM unfounded)
), outbox_gone AS (
    DELETE FROM outbox WHERE media_id IN (SELECT id FROM unfounded)
), calls_gone AS (
    DELETE FROM run_calls WHERE media_id IN (SELECT id FROM unfounded)
), jobs_gone AS (
    DELETE FROM vendor_jobs WHERE media_id IN (SELECT id FROM unfounded)
), assistants_gone AS (
    DELETE FROM assistants WHERE media_id IN (SELECT id FROM unfounded)
)
DELETE FROM media_items WHERE id IN (SELECT id FROM unfounded);

-- name: recently_moved
-- The items of the newest events.
SELECT DISTINCT stream_id FROM (
    SELECT stream_id FROM events ORDER BY position DESC LIMIT $1) AS newest;

-- name: checked_upto
-- How far the continuous check is on its way round.
SELECT upto FROM projection_checks ORDER BY id DESC LIMIT 1;

-- name: note_check
-- What one turn of the continuous check found.
INSERT INTO projection_checks (upto, checked, mismatched) VALUES ($1, $2, $3);

-- name: forget_checks
-- Keep the newest turns alone.
DELETE FROM projection_checks
WHERE id <= (SELECT id FROM projection_checks ORDER BY id DESC OFFSET $1 LIMIT 1);

-- name: sealed_at
-- An event's place in the ledger, and the first checkpoint that covers it.
SELECT l.seq, c.size, c.note
FROM ledger l
LEFT JOIN LATERAL (
    SELECT size, note FROM checkpoints WHERE size >= l.seq ORDER BY size LIMIT 1) AS c ON true
WHERE l.position = $1;

-- name: keep_evidence
-- Keep a raw message about an item under its hash; the same message once, none of an erased item.
INSERT INTO evidence (hash, kind, body, stream_id) SELECT $1, $2, $3, $4
WHERE NOT EXISTS (SELECT FROM streams WHERE stream_id = $4 AND status = 'erased')
ON CONFLICT (hash) DO NOTHING;

-- name: find_evidence
-- The kept message with that hash.
SELECT kind, body, kept_at FROM evidence WHERE hash = $1;

-- name: figures
-- What the service knows of itself: (figure, label, value). Cheap however long the history is: only
-- what is pending is counted, by the indexes that hold nothing else.
WITH pending AS (
    SELECT status, updated_at, deadline_at FROM media_items WHERE deadline_at IS NOT NULL
), sealed AS (
    SELECT h.size AS sealed, coalesce(max(c.size), 0) AS signed, max(c.signed_at) AS signed_at
    FROM ledger_head h LEFT JOIN
        (SELECT size, signed_at FROM checkpoints ORDER BY size DESC LIMIT 1) c ON true
    GROUP BY h.size
), found (name, label, value) AS (
    SELECT 'items_pending', status, count(*)::float8 FROM pending GROUP BY status
    UNION ALL SELECT 'items_pending_oldest_seconds', status,
        extract(epoch FROM clock_timestamp() - min(updated_at)) FROM pending GROUP BY status
    UNION ALL SELECT 'items_overdue', '', count(*) FROM pending
        WHERE deadline_at < clock_timestamp() - interval '1 minute'
    UNION ALL SELECT 'outbox_waiting', '', count(*) FROM outbox
    UNION ALL SELECT 'outbox_oldest_seconds', '',
        coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) FROM outbox
    UNION ALL SELECT 'jobs_watched', '', count(*) FROM vendor_jobs WHERE closed_at IS NULL
    UNION ALL SELECT 'inbox_waiting', '', count(*) FROM webhook_inbox
        WHERE next_try_at IS NOT NULL
    UNION ALL SELECT 'inbox_quarantined', '', count(*) FROM webhook_inbox
        WHERE verdict = 'quarantined' AND received_at > clock_timestamp() - interval '1 day'
    UNION ALL SELECT 'breaker_tripped', name, 1 FROM breakers
    UNION ALL SELECT 'erasures_waiting', '', count(*) FROM erasures WHERE finished_at IS NULL
    UNION ALL SELECT 'erasures_failing', '', count(*) FROM erasures
        WHERE finished_at IS NULL AND last_error IS NOT NULL
    UNION ALL SELECT 'ledger_unsealed', '', count(*) FROM unsealed
    UNION ALL SELECT 'checkpoint_age_seconds', '', CASE WHEN sealed > signed THEN
        coalesce(extract(epoch FROM clock_timestamp() - signed_at), 0) ELSE 0 END FROM sealed
    UNION ALL SELECT 'projection_mismatches', '', coalesce(sum(mismatched), 0)
        FROM projection_checks
    UNION ALL SELECT 'projection_check_age_seconds', '',
        extract(epoch FROM clock_timestamp() - max(checked_at)) FROM projection_checks
    UNION ALL SELECT 'attempts_total', outcome || '/' || reason, sum(attempts)
        FROM attempt_totals GROUP BY outcome, reason
    UNION ALL SELECT 'gpu_seconds_total', tier || '/' || outcome, sum(gpu_seconds)
        FROM attempt_totals GROUP BY tier, outcome
    UNION ALL SELECT 'gpu_cost_total', tier, sum(cost) FROM attempt_totals GROUP BY tier
    UNION ALL SELECT 'tally_waiting', '', size - seq FROM ledger_head, tally
)
SELECT name, label, value::float8 FROM found WHERE value IS NOT NULL;

-- name: note_tier
-- The tier of an item's creator when it was registered; a repeated registration changes nothing.
INSERT INTO media_tiers (media_id, tier) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: tally
-- Sum up the next $1 events of the ledger: ends of attempts by tier, outcome and reason, with their
-- GPU seconds at $2 a second. Workers say how long they held their machine; of attempts that failed
-- it is what lay between start and end, at most $3 seconds. How many events that were; nothing while
-- another process does it.
WITH taken AS (
    SELECT seq FROM tally FOR UPDATE SKIP LOCKED
), batch AS (
    SELECT l.seq, e.stream_id, e.type, e.payload, e.recorded_at, e.version
    FROM taken t JOIN ledger l ON l.seq > t.seq AND l.seq <= t.seq + $1
    JOIN events e ON e.position = l.position
), ended AS (
    SELECT coalesce(m.tier, 'standard') AS tier,
        CASE b.type WHEN 'media.transcoding_completed' THEN 'ready' ELSE 'failed' END AS outcome,
        coalesce(b.payload->>'errorCode', '') AS reason,
        coalesce(
            (b.payload->>'gpuSeconds')::float8,
            least($3::float8, coalesce(extract(epoch FROM b.recorded_at - (
                SELECT min(s.recorded_at) FROM events s
                WHERE s.stream_id = b.stream_id AND s.version < b.version
                    AND s.type = 'media.transcoding_started'
                    AND s.payload->>'attempt' = b.payload->>'attempt'
            )), 0))
        ) AS gpu_seconds
    FROM batch b LEFT JOIN media_tiers m ON m.media_id = b.stream_id
    WHERE b.type IN ('media.transcoding_completed', 'media.transcoding_failed')
), added AS (
    INSERT INTO attempt_totals AS t (tier, outcome, reason, attempts, gpu_seconds, cost)
    SELECT tier, outcome, reason, count(*), sum(gpu_seconds), sum(gpu_seconds) * $2::float8
    FROM ended GROUP BY tier, outcome, reason
    ON CONFLICT (tier, outcome, reason) DO UPDATE SET
        attempts = t.attempts + excluded.attempts,
        gpu_seconds = t.gpu_seconds + excluded.gpu_seconds, cost = t.cost + excluded.cost
), moved AS (
    UPDATE tally SET seq = (SELECT max(seq) FROM batch) WHERE EXISTS (SELECT FROM batch)
)
SELECT count(*) FROM batch;
