"""Properties that hold for whatever comes: bodies, tokens, playlists, probes, streams.

The suite tries a few examples of each. `python -m tests.fuzz [EXAMPLES]` tries many.
"""
