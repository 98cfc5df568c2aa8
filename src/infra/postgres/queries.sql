-- Every statement the service sends, named. A line of purpose stands over each.

-- name: now
-- The database's clock, the only one deadlines are kept on.
SELECT clock_timestamp();

-- name: append
-- Appends with projection, outbox and job list: one round trip, one transaction, each by itself.
SELECT request, failure, message, appended FROM append_batch($1);

-- name: load_stream
-- A stream's history in order.
SELECT * FROM events WHERE stream_id = $1 ORDER BY version;

-- name: item
-- One creator's item with the progress of its running attempt. Foreign and missing look alike.
SELECT m.*, p.percent, p.stage, p.rung, p.updated_at AS progress_at
FROM media_items m
LEFT JOIN progress p ON p.media_id = m.id AND p.attempt = m.transcoding_attempts
    AND m.status = 'transcoding'
WHERE m.id = $1 AND m.creator_id = $2;

-- name: outputs
-- Where a ready item's output begins, for the bearer of a playback token.
SELECT hls_master_playlist_key FROM media_items WHERE id = $1 AND status = 'ready';

-- name: list_items
-- One page of a creator's items, newest first, optionally of one status, after a cursor.
SELECT * FROM media_items
WHERE creator_id = $1
  AND ($2::text IS NULL OR status = $2)
  AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
ORDER BY created_at DESC, id DESC
LIMIT $5;

-- name: save_progress
-- Overwrite a running attempt's progress; a late message neither goes back nor touches another attempt.
INSERT INTO progress (media_id, attempt, percent, stage, rung)
SELECT m.id, $2, $3, $4, $5 FROM media_items m
WHERE m.id = $1 AND m.status = 'transcoding' AND m.transcoding_attempts = $2
ON CONFLICT (media_id) DO UPDATE SET
    attempt = excluded.attempt, percent = excluded.percent, stage = excluded.stage,
    rung = excluded.rung, updated_at = clock_timestamp()
WHERE progress.attempt < excluded.attempt OR progress.percent <= excluded.percent;

-- name: take_dispatch
-- Lease one attempt that is due to be sent; others skip it until the lease ends.
UPDATE outbox SET next_try_at = clock_timestamp() + $1::interval, tries = tries + 1
WHERE (media_id, attempt) = (
    SELECT media_id, attempt FROM outbox WHERE next_try_at <= clock_timestamp()
    ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING media_id, attempt, tries;

-- name: take_dispatch_of
-- Lease one item's attempt for an immediate send, unless somebody has it already.
UPDATE outbox SET next_try_at = clock_timestamp() + $2::interval, tries = tries + 1
WHERE (media_id, attempt) = (
    SELECT media_id, attempt FROM outbox WHERE media_id = $1 AND next_try_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED)
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

-- name: take_poll
-- Lease one open job that is due to be asked about: 15 s apart at first, growing to two minutes.
UPDATE vendor_jobs SET polls = polls + 1,
    next_poll_at = clock_timestamp()
        + least(interval '15 seconds' * 1.5 ^ least(polls, 6), interval '2 minutes')
WHERE job_id = (
    SELECT job_id FROM vendor_jobs WHERE closed_at IS NULL AND next_poll_at <= clock_timestamp()
    ORDER BY next_poll_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING job_id, media_id, attempt;

-- name: poll_at_once
-- Ask about a job now: RunPod's webhook hinted that it ended.
UPDATE vendor_jobs SET next_poll_at = clock_timestamp()
WHERE media_id = $1 AND attempt = $2 AND closed_at IS NULL;

-- name: close_job
-- Stop watching a job that RunPod does not know any more.
UPDATE vendor_jobs SET closed_at = clock_timestamp() WHERE job_id = $1 AND closed_at IS NULL;

-- name: open_jobs
-- The jobs of an item that may still run.
SELECT job_id, attempt FROM vendor_jobs WHERE media_id = $1 AND closed_at IS NULL;

-- name: overdue
-- Items whose state has outlived its deadline.
SELECT id, status, transcoding_attempts FROM media_items
WHERE deadline_at <= clock_timestamp() ORDER BY deadline_at LIMIT $1;

-- name: receive
-- Keep a webhook's raw body before anything is made of it; no row for a message that was kept before.
INSERT INTO webhook_inbox (channel, message_id, body) VALUES ($1, $2, $3)
ON CONFLICT (channel, message_id) DO NOTHING RETURNING id;

-- name: received_verdict
-- What became of a message that came before.
SELECT id, verdict FROM webhook_inbox WHERE channel = $1 AND message_id = $2;

-- name: set_verdict
-- Note what became of a message.
UPDATE webhook_inbox SET verdict = $2 WHERE id = $1;

-- name: transitions
-- The lifecycle as the database enforces it.
SELECT from_status, event_type, to_status FROM transitions_allowed;
