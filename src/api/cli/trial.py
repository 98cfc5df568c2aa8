"""Many uploads of one file, followed to their ends and judged: `demo --uploads`, `demo --chaos`."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import typer
from pydantic import BaseModel, Field

from api.cli import output
from api.cli.file import MediaFile
from codex_media import MediaClient
from codex_media.models import FINAL, Event, History, MediaStatus, Status
from codex_media.sending import send
from domain.media import MAX_JOBS_PER_ATTEMPT
from infra.embedded.runpod_chaos import ChaosPlan, Fault
from infra.embedded.runpod_local import RunpodEndpoint
from infra.embedded.sample import SAMPLE, SMALL_SAMPLE, sample_clip
from infra.postgres.replay import Difference, open_replay

ROUND_S = 1.0
QUIET_S = 5.0
"""Left for what is late, so that it is seen whether it changes anything after the end."""
ONCE = (
    "media.registered",
    "media.upload_completed",
    "media.transcoding_requested",
    "media.transcoding_completed",
)
"""What the history of a file holds exactly once that is `ready` at the first attempt."""

Told = Callable[[str, int], None]
"""Called with what is being done and how many are done."""


class Verdict(NamedTuple):
    """One item: where it ended, and what is wrong with it."""

    status: MediaStatus
    events: tuple[str, ...]
    flaws: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether it is ready, with each event once, in a row that equals its history."""
        return self.status.status == Status.READY and not self.flaws

    def as_json(self) -> dict[str, object]:
        """An item of `demo --uploads --json`."""
        found = self.status.model_dump(mode="json", by_alias=True)
        told = {name: found[name] for name in ("mediaId", "status", "attempts", "version", "error")}
        return told | {"events": self.events, "flaws": self.flaws}


class Faults(BaseModel):
    """What the stand-in says it did, and how many jobs the attempt had that had most."""

    seed: int
    most_jobs: int = Field(alias="mostJobs")
    faults: dict[str, int]


class Trial(NamedTuple):
    """How it went."""

    wanted: int
    verdicts: tuple[Verdict, ...]
    faults: Faults | None
    elapsed_s: float

    @property
    def passed(self) -> bool:
        """Whether every upload is good, and no attempt had more jobs than it may."""
        if self.faults and self.faults.most_jobs > MAX_JOBS_PER_ATTEMPT:
            return False
        return len(self.verdicts) == self.wanted and all(each.good for each in self.verdicts)

    @property
    def by_status(self) -> Counter[str]:
        """How many ended, or are stuck, in which state."""
        return Counter(str(each.status.status) for each in self.verdicts)

    def as_json(self) -> dict[str, object]:
        """What `demo --uploads --json` prints."""
        return {
            "passed": self.passed,
            "seed": self.faults.seed if self.faults else None,
            "uploads": self.wanted,
            "statuses": dict(self.by_status),
            "faults": self.faults.faults if self.faults else {},
            "mostJobsOfAnAttempt": self.faults.most_jobs if self.faults else None,
            "items": [each.as_json() for each in self.verdicts],
            "elapsedSeconds": round(self.elapsed_s, 3),
        }


def plan(seed: int | None, only: Sequence[str]) -> ChaosPlan | None:
    """What `--chaos` and `--fault` ask for; `typer.BadParameter` for an unknown kind."""
    try:
        kinds = frozenset(map(Fault, only)) or frozenset(Fault)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; known: {', '.join(Fault)}") from None
    if seed is None and only:
        raise typer.BadParameter("--fault needs --chaos SEED")
    return None if seed is None else ChaosPlan(seed, only=kinds)


def sample(folder: Path, *, many: bool) -> Path:
    """A clip to upload: a small one if there are many uploads."""
    return sample_clip(folder, SMALL_SAMPLE if many else SAMPLE)


async def hold(
    client: MediaClient,
    file: MediaFile,
    count: int,
    limit_s: float,
    dsn: str,
    *,
    quiet_s: float = QUIET_S,
) -> Trial:
    """Upload `file` so often and follow all to their ends, for `limit_s` seconds at most."""
    started = time.monotonic()
    with output.uploads_bar(count) as tell:
        followed = await asyncio.to_thread(_carry_all, client, file, count, limit_s, tell)
    await asyncio.sleep(quiet_s)
    verdicts = await judge(client, followed, dsn)
    return Trial(count, verdicts, None, time.monotonic() - started)


async def judge(client: MediaClient, media_ids: Sequence[UUID], dsn: str) -> tuple[Verdict, ...]:
    """How the items stand, and whether their rows in `dsn` are what their events make."""
    wrong = {each.media_id: each for each in await _wrong_rows(dsn)}
    return tuple(_judge(client, media_id, wrong) for media_id in media_ids)


def _carry_all(
    client: MediaClient, file: MediaFile, count: int, limit_s: float, tell: Told
) -> list[UUID]:
    deadline = time.monotonic() + limit_s
    # One after the other: the n-th upload is the n-th attempt, whose faults the seed decides.
    begun = [_upload(client, file, place, tell) for place in _until(deadline, range(count))]
    still_open = begun
    for _ in _rounds(deadline):
        still_open = [each for each in still_open if client.status(each).status not in FINAL]
        tell("ended", len(begun) - len(still_open))
        if not still_open:
            break
    return begun


def _upload(client: MediaClient, file: MediaFile, place: int, tell: Told) -> UUID:
    registered = client.register(*file.announced)
    if registered.upload is not None:
        media_id, upload = registered.media.id, registered.upload
        send(client, media_id, file.path, upload, lambda _: None)
    client.complete(registered.media.id)
    tell("uploaded", place + 1)
    return registered.media.id


def _until(deadline: float, places: Iterable[int]) -> Iterable[int]:
    for place in places:
        if time.monotonic() >= deadline:
            return
        yield place


def _rounds(deadline: float) -> Iterable[None]:
    while time.monotonic() < deadline:
        yield
        time.sleep(ROUND_S)


async def _wrong_rows(dsn: str) -> list[Difference]:
    found: list[Difference] = []
    async with open_replay(dsn) as replay:
        await replay.check(lambda _, differences: found.extend(differences))
    return found


def _judge(client: MediaClient, media_id: UUID, wrong: Mapping[UUID, Difference]) -> Verdict:
    status, history = client.status(media_id), client.history(media_id)
    flaws = flaws_of(history)
    if media_id in wrong:
        names = ", ".join(name for name, _, _ in wrong[media_id].columns())
        flaws.append(f"the row is not what the events make: {names or 'missing'}")
    return Verdict(status, tuple(event.type for event in history.events), tuple(flaws))


def flaws_of(history: History) -> list[str]:
    """What in a history is not as it must be when an upload became `ready` at the first attempt."""
    events = history.events
    flaws = [f"{what} is there {count} times" for what, count in _repeated(events)]
    types = Counter(event.type for event in events)
    flaws += [f"{name} is missing" for name in ONCE if not types[name]]
    flaws += [f"{name} should not be there" for name in types if name not in _EXPECTED]
    if [event.version for event in events] != list(range(1, len(events) + 1)):
        flaws.append("the versions have gaps")
    return flaws


_SUBMITTED, _STARTED = "media.transcoding_submitted", "media.transcoding_started"
_EXPECTED = {*ONCE, _SUBMITTED, _STARTED}


def _repeated(events: Sequence[Event]) -> list[tuple[str, int]]:
    """Facts that are told more than once. Each job of an attempt is submitted, one is started."""
    facts = Counter(
        (event.type, str(event.payload) if event.type == _SUBMITTED else "") for event in events
    )
    return [(name, count) for (name, _), count in facts.items() if count > 1]


async def ask_for_faults(runpod: RunpodEndpoint) -> Faults:
    """What the stand-in did so far."""
    headers = {"authorization": f"Bearer {runpod.api_key}"}
    async with httpx.AsyncClient(headers=headers, timeout=5.0, trust_env=False) as http:
        answer = await http.get(f"{runpod.base_url}/v2/{runpod.endpoint_id}/chaos")
    return Faults.model_validate_json(answer.raise_for_status().content)


def show(trial: Trial) -> None:
    """What ended how, what was done to it, and what is wrong."""
    statuses = ", ".join(f"{count} {name}" for name, count in trial.by_status.items())
    output.out.print(f"uploads   {trial.wanted}: {statuses}")
    if trial.faults:
        output.out.print(f"seed      {trial.faults.seed}")
        most = f"{trial.faults.most_jobs} (at most {MAX_JOBS_PER_ATTEMPT} allowed)"
        output.out.print(f"most jobs of an attempt  {most}")
        output.show_counts(trial.faults.faults)
    for each in trial.verdicts:
        last = each.events[-1] if each.events else "no event"
        line = f"{each.status.media_id}  {each.status.status:<11}  {last:<29}  "
        judged = "; ".join(each.flaws) or "each event once, row equals history"
        output.out.print(line + judged, soft_wrap=True, highlight=False)
    unsent = trial.wanted - len(trial.verdicts)
    if unsent:
        output.out.print(f"not uploaded in time: {unsent}")
    verdict = "passed" if trial.passed else "FAILED"
    output.out.print(f"{verdict} after {trial.elapsed_s:.1f} s")
