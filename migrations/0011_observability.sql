-- what attempts came to, and what they cost, summed up; and creators' tiers, by which that is told
-- depends: 0010_security

-- migrate: apply

-- The tier that a creator had when an item was registered, where that is not `standard`. No event
-- has it: it is nobody's history what somebody paid us.
CREATE TABLE media_tiers (
    media_id uuid PRIMARY KEY,
    tier     text NOT NULL CHECK (tier ~ '^[a-z][a-z0-9_-]{0,31}$')
);

-- Attempts that ended. `reason` is the error's code, and empty where there is none.
CREATE TABLE attempt_totals (
    tier        text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('ready', 'failed')),
    reason      text NOT NULL,
    attempts    bigint NOT NULL,
    gpu_seconds double precision NOT NULL,
    cost        double precision NOT NULL,
    PRIMARY KEY (tier, outcome, reason)
);

-- How far the ledger is summed up: one row, moved in the transaction that adds to the totals, so
-- that each event counts once, however many processes do it and whenever one of them dies.
CREATE TABLE tally (
    id  boolean PRIMARY KEY DEFAULT true CHECK (id),
    seq bigint NOT NULL
);
INSERT INTO tally (seq) VALUES (0);

GRANT SELECT, INSERT, DELETE ON media_tiers TO codex_media_app;
GRANT SELECT, INSERT, UPDATE ON attempt_totals, tally TO codex_media_app;

-- migrate: rollback

DROP TABLE tally, attempt_totals, media_tiers;
