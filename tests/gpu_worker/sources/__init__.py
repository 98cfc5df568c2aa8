"""The kinds of files that people upload, in small, and what must come of each.

`python -m tests.gpu_worker.sources` prints what was measured on every one.
"""
