"""Named points between two steps of a process, at which its sudden end can be tried.

They stand at boundaries: before every named statement, around every call to RunPod and the bucket,
after the sealer's commit, before every answer of the API. In service nothing watches, and no
setting changes that: who wants to end a process at a point starts its code under a watcher.
"""

from collections.abc import Callable

Watcher = Callable[[str, str], None]
"""Called with the kind of a point (`sql`, `runpod`, `bucket`, …) and its name within the kind."""

_watchers: list[Watcher] = []


def reach(kind: str, name: str) -> None:
    """Say that the process is at a point."""
    for watcher in _watchers:
        watcher(kind, name)


def watch(watcher: Watcher) -> None:
    """Have `watcher` called at every point, in the task that is there, for the process's life."""
    _watchers.append(watcher)
