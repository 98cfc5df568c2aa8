"""Seeded simulation: the service's own code in a world where everything that can fail does.

    python -m tests.simulate --seeds 1000            so many schedules, and what happened in them
    python -m tests.simulate --seed 42 --trace       one of them, step by step

Driven for real are the use cases, loops, message desk, signatures, tokens, output gate, the
adapters of bucket and RunPod, and the worker with its claim, uploader and callbacks. Simulated are
time (an event loop whose clock jumps), the database (`tests.fakes`), the bucket's S3 API, RunPod's
HTTP API, the network between them, and the conversion itself. A schedule has a phase in which
things go wrong and one in which nothing does any more; then everything must have come to an end,
and the invariants of `tests.simulate.invariants` must hold. All chance comes from the seed: it
replays the schedule.
"""
