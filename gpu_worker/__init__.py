"""The transcoding worker: one RunPod job in, playable HLS and its manifest in the bucket out.

Imports nothing of `domain`, `infra` or `api`: the worker's image carries this package alone.
"""
