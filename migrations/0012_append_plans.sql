-- appends are planned once a connection, and not once a batch
-- depends: 0011_observability

-- migrate: apply

-- The server guesses that an array has ten members. With fewer, a plan for just these arrays looks
-- cheaper than one for any, and it made a new one of every statement for every batch: of a small
-- batch a fifth of its time. With no scan of whole tables, hash or merge allowed, the length of the
-- arrays changes no plan. One that was made of an empty table is made anew when that is analysed.
ALTER FUNCTION append_batch SET plan_cache_mode = force_generic_plan;

-- migrate: rollback

ALTER FUNCTION append_batch RESET plan_cache_mode;
