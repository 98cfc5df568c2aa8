"""Planted bugs: each breaks one rule of the service, and the simulation must notice."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import api.webhooks
import domain.folding
import domain.media
import domain.use_cases.dispatch
import domain.use_cases.uploads
import infra.capability
import infra.loops
import tests.fakes.database
import tests.simulate.service
from domain.commands import ExpireUpload
from domain.handler import handle
from domain.lifecycle import Status
from domain.media import MediaItem
from domain.use_cases import Outcomes, Reports, Uploads
from domain.use_cases.access import load_item, system
from gpu_worker.claim import AttemptClaim
from gpu_worker.uploader import Uploader
from infra.claims import BucketClaims
from infra.inbox import MessageDesk
from infra.item_objects import BucketItemObjects
from infra.output_gate import BucketOutputGate
from tests.fakes import MemoryErasures, MemoryEventStore, MemoryInbox, MemoryOutbox
from tests.simulate.bucket import Bucket
from tests.simulate.chance import replaced
from tests.simulate.stories import Story, stop_and_run_again


class Mutation(NamedTuple):
    """A bug: what is put in the place of what, and which rules it may break."""

    name: str
    broken: frozenset[str]
    changes: tuple[tuple[Any, str, Any], ...]
    first_seed: int = 0
    """Where the search begins: a seed that is known to notice."""
    story: Story | None = None
    """The one schedule in which it is noticed, where chance brings that about too seldom."""


@contextmanager
def planted(mutation: Mutation) -> Iterator[None]:
    """Inside, the service has this bug."""
    with ExitStack() as stack:
        for place, name, value in mutation.changes:
            stack.enter_context(replaced(place, name, value))
        yield


def _bug(
    name: str,
    broken: str,
    *changes: tuple[Any, str, Any],
    first_seed: int = 0,
    story: Story | None = None,
) -> Mutation:
    return Mutation(name, frozenset(broken.split()), changes, first_seed, story)


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_args, **_given: value


def _soon(value: Any) -> Callable[..., Any]:
    async def answer(*_args: Any, **_given: Any) -> Any:
        return value

    return answer


_append = MemoryEventStore.append


async def _append_blindly(
    self: Any, media_id: Any, expected_version: int, *args: Any, **given: Any
) -> Any:
    stream = self.database.streams.get(media_id, [])
    return await _append(self, media_id, max(expected_version, len(stream)), *args, **given)


def _without_deadline(item: MediaItem, event: Any) -> MediaItem:
    return domain.folding.replace(_begin(item, event), deadline=None)


_begin = domain.folding._begin_attempt


class _NeverRaised(Exception): ...


async def _begin_call_uncounted(self: Any, lease: Any) -> bool:
    await _begin_call(self, lease)
    self.database.calls[lease.media_id, lease.attempt].made = 0
    return True


_begin_call = MemoryOutbox.begin_call


async def _expire_unseen(self: Uploads, media_id: Any) -> None:
    item = await load_item(self.store, media_id)
    if item.status is Status.UPLOADING:
        command = ExpireUpload(await self.store.now())
        await handle(self.store, media_id, command, system("sweeper"))


def _bearer_told(services: Any, token: str, now_s: float) -> Any:
    api.webhooks.log.info("RunPod webhook with %s", token)
    return _bearer_of(services, token, now_s)


_bearer_of = api.webhooks.bearer_of


async def _load_anybodys(store: Any, media_id: Any, _creator_id: str) -> MediaItem:
    return await load_item(store, media_id)


class _AnyKey(dict[str, Any]):
    def get(self, _field: str, _default: Any = None) -> Any:
        return _Same()


class _Same:
    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


async def _take_for_good(self: Any, media_id: Any = None) -> Any:
    lease = await _take(self, media_id)
    if lease is not None:
        entry = self.database.outbox[lease.media_id, lease.attempt]
        entry.next_try_at += timedelta(days=365)
    return lease


_take = MemoryOutbox.take


def _runs_any(self: MediaItem, _attempt: int) -> bool:
    return self.status is Status.TRANSCODING


async def _believe_the_vendor(self: Reports, hint: Any) -> Any:
    item = await self._item(hint.media_id)
    if item is not None and hint.job_id is not None and item.runs(hint.attempt):
        context = system("reconciler")
        await self.outcomes.learn(hint.media_id, hint.attempt, hint.job_id, context)
    return await _by_vendor(self, hint)


_by_vendor = Reports.by_vendor


async def _publish_manifest_first(self: Uploader, tree: Any, manifest: Any, progress: Any) -> Any:
    published = await self._put_manifest(manifest)
    await self._put_all(tree, manifest.objects, progress)
    return published


async def _take_message_for_good(self: Any) -> Any:
    message = await _take_message(self)
    if message is not None:
        self._entry(message.row_id).next_try_at += timedelta(days=365)
    return message


_take_message = MemoryInbox.take


def _put_blindly(self: Bucket, key: str, *given: Any, **conditions: Any) -> Any:
    return _put(self, key, *given, **(conditions if "/hls/" not in key else {}))


_put = Bucket.put


async def _close_first(self: Outcomes, media_id: Any, item: MediaItem, job_id: Any) -> bool:
    others = await self._others(media_id, job_id)
    calls = await self.outbox.calls(media_id, item.attempt)
    if not others and max(calls.made, len(item.job_ids)) >= domain.media.MAX_JOBS_PER_ATTEMPT:
        return False
    if job_id is not None:
        await self.watchlist.close(job_id)
    if not others:
        await self.outbox.add(media_id, item.attempt)
    return True


async def _swept_for_good(self: Any, remains: Any, *_given: Any) -> bool:
    self.database.erasures[remains.media_id].finished = True
    return True


_true = SimpleNamespace(compare_digest=_always(True), new=hmac.new)

MUTATIONS = (
    _bug(
        "append without looking at the version",
        "I1 I2 I3 surprise",
        (MemoryEventStore, "append", _append_blindly),
        (tests.fakes.database, "_check_fit", _always(None)),
    ),
    _bug(
        "forget the deadline of an attempt",
        "I6",
        (domain.folding, "_begin_attempt", _without_deadline),
    ),
    _bug("act on reports about any attempt", "I2", (MediaItem, "runs", _runs_any), first_seed=1147),
    _bug("let attempts go on for ever", "I2", (domain.media, "MAX_ATTEMPTS", 99)),
    _bug("believe the job in RunPod's webhook", "I4", (Reports, "by_vendor", _believe_the_vendor)),
    _bug(
        "take a lost answer for a no",
        "I7",
        (domain.use_cases.dispatch, "TranscoderUnknown", _NeverRaised),
        first_seed=160,
    ),
    _bug(
        "do not count calls of /run",
        "I7",
        (MemoryOutbox, "begin_call", _begin_call_uncounted),
        first_seed=109,
    ),
    _bug("take a claim from a living holder", "I7", (AttemptClaim, "_is_live", _always(False))),
    _bug("do not look at claims at all", "failure", (BucketClaims, "holder", _soon(None))),
    _bug(
        "take any signature", "I4", (api.webhooks, "verify", lambda _k, h, _b, _n: h["webhook-id"])
    ),
    _bug("take any token", "I4", (infra.capability, "hmac", _true)),
    _bug("answer before a message is kept", "I5", (MessageDesk, "take_in", _soon("accepted"))),
    _bug(
        "ready without looking at the objects",
        "I3",
        (BucketOutputGate, "_wrong_objects", _soon(None)),
        first_seed=88,
    ),
    _bug(
        "write the manifest first",
        "failure I3",
        (Uploader, "publish", _publish_manifest_first),
        first_seed=70,
    ),
    _bug("do not notice a lost job", "failure", (Outcomes, "_replace", _soon(None))),
    _bug("end nothing that is overdue", "convergence", (infra.loops, "sweep_once", _soon(False))),
    _bug(
        "pause dispatch for good", "convergence failure", (infra.loops, "probe_once", _soon(False))
    ),
    _bug(
        "lose an attempt with its sender",
        "convergence failure",
        (MemoryOutbox, "take", _take_for_good),
    ),
    _bug(
        "lose a message with its reader",
        "convergence",
        (MemoryInbox, "take", _take_message_for_good),
    ),
    _bug("expire an upload that arrived", "failure", (Uploads, "expire", _expire_unseen)),
    _bug("erase no objects", "I10", (BucketItemObjects, "clear", _soon(0))),
    _bug(
        "look for the objects of an erased item once",
        "I10",
        (MemoryErasures, "swept", _swept_for_good),
    ),
    _bug("log a token", "I9", (api.webhooks, "bearer_of", _bearer_told)),
    _bug(
        "let anybody press the buttons",
        "I4",
        (domain.use_cases.uploads, "load_owned", _load_anybodys),
        (domain.use_cases.dispatch, "load_owned", _load_anybodys),
    ),
    _bug(
        "take foreign keys in a report",
        "I4",
        (tests.simulate.service, "own_keys", lambda *_ids: _AnyKey()),
    ),
    _bug(
        "write without looking at the claim",
        "I7",
        (AttemptClaim, "check", _always(None)),
        story=stop_and_run_again(100.0, 0.01),
    ),
    _bug(
        "overwrite whatever is there",
        "I3",
        (Bucket, "put", _put_blindly),
        story=stop_and_run_again(200.0, 150.0),
    ),
    _bug("close a job before the next is queued", "I6", (Outcomes, "_goes_on", _close_first)),
)
