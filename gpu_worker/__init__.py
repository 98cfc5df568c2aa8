"""The transcoding worker: one RunPod job in, playable HLS and its manifest in the bucket out.

Imports nothing of `domain`, `infra` or `api`: the worker's image carries this package alone.
"""

import os

# numpy's OpenBLAS would start a thread for each processor, for algebra that nobody does here. It
# reads this once, when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
