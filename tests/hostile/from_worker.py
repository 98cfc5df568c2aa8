"""Hostile messages in the name of our worker."""

import json
import random
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

from gpu_worker.contract import Progress, Report
from gpu_worker.signature import sign
from tests.api.gpu import WEBHOOK, Job, completion, failure
from tests.hostile.kinds import (
    HARMLESS,
    NO_REPORT,
    NO_REPORTS,
    REFUSED,
    TOO_LARGE,
    Headers,
    Hostile,
    flip,
)
from tests.hostile.scene import OTHER_SECRET, Scene

SIGNATURE = "webhook-signature"


def _worker(kind: str, headers: Headers, body: bytes, allowed: frozenset[int]) -> Hostile:
    return Hostile(kind, WEBHOOK, [("content-type", "application/json"), *headers], body, allowed)


def _report(job: Job) -> bytes:
    return failure(job).to_json().encode()


def _signed(secret: str, body: bytes, age_s: int = 0, message_id: str | None = None) -> Headers:
    chosen = message_id or f"msg_{uuid4()}"
    return list(sign(secret, chosen, int(time.time()) - age_s, body).items())


def _valid(scene: Scene, kind: str, body: bytes, allowed: frozenset[int]) -> Hostile:
    message_id = f"msg_{uuid4()}"
    scene.valid_ids.add(message_id)
    headers = _signed(scene.secret, body, message_id=message_id)
    return _worker(kind, headers, body, allowed)


def _with(headers: Headers, name: str, value: str) -> Headers:
    return [(each, value if each == name else old) for each, old in headers]


def unsigned(scene: Scene, chance: random.Random) -> Hostile:
    """A report without one, two or all of the headers."""
    headers = _signed(scene.secret, _report(scene.running))
    kept = chance.sample(headers, chance.randrange(len(headers)))
    return _worker("unsigned", kept, _report(scene.running), REFUSED)


def wrong_secret(scene: Scene, chance: random.Random) -> Hostile:
    """A report signed by somebody else."""
    body = _report(scene.running)
    return _worker("wrong secret", _signed(OTHER_SECRET, body), body, REFUSED)


def flipped_signature(scene: Scene, chance: random.Random) -> Hostile:
    """A good signature with one bit of one character changed."""
    body = _report(scene.running)
    headers = _signed(scene.secret, body)
    good = dict(headers)[SIGNATURE]
    return _worker(
        "flipped signature", _with(headers, SIGNATURE, flip(good, chance)), body, REFUSED
    )


def changed_body(scene: Scene, chance: random.Random) -> Hostile:
    """A signed report, then a byte changed, cut or added."""
    body = _report(scene.running)
    place = chance.randrange(len(body))
    changed = chance.choice(
        [
            body[:place] + bytes([body[place] ^ 1 << chance.randrange(8)]) + body[place + 1 :],
            body[:place],
            body + b" ",
            b"",
        ]
    )
    return _worker("changed or truncated body", _signed(scene.secret, body), changed, REFUSED)


def wrong_time(scene: Scene, chance: random.Random) -> Hostile:
    """Signed by the true secret, but too long ago or too far ahead: a replay."""
    body = _report(scene.running)
    age_s = chance.choice([1, -1]) * chance.choice([310, 600, 86_400, 10**8])
    return _worker("replay outside five minutes", _signed(scene.secret, body, age_s), body, REFUSED)


STAMPS = ["", "0", "-1", "NaN", "1e9", "٣٣", " 1", "0x10", "9" * 12, "9" * 5000, "1.5", "１７"]


def no_time(scene: Scene, chance: random.Random) -> Hostile:
    """A timestamp that is no number of seconds."""
    body = _report(scene.running)
    headers = _with(_signed(scene.secret, body), "webhook-timestamp", chance.choice(STAMPS))
    return _worker("timestamp that is none", headers, body, REFUSED)


def other_scheme(scene: Scene, chance: random.Random) -> Hostile:
    """Signatures of other schemes, none at all, or very many."""
    body = _report(scene.running)
    headers = _signed(scene.secret, body)
    mac = dict(headers)[SIGNATURE].removeprefix("v1,")
    offered = chance.choice(
        [
            *(f"{scheme}{mac}" for scheme in ("v2,", "v1a,", "", "V1,", "v1, ")),
            *("v1,", ",", f"v1,{mac[:-1]}", "v1,é\x80ÿ"),
            " ".join(f"v1,{chance.getrandbits(256):064x}" for _ in range(200)),
        ]
    )
    return _worker("other scheme", _with(headers, SIGNATURE, offered), body, REFUSED)


def duplicate_headers(scene: Scene, chance: random.Random) -> Hostile:
    """Every header twice, the forged one first."""
    body = _report(scene.running)
    good, forged = _signed(scene.secret, body), _signed(OTHER_SECRET, body)
    return _worker("duplicate headers", [*forged, *good], body, REFUSED)


def garbage(scene: Scene, chance: random.Random) -> Hostile:
    """Random bytes under a forged signature."""
    body = chance.randbytes(chance.randrange(2000))
    return _worker("garbage", _signed(OTHER_SECRET, body), body, REFUSED)


def oversized(scene: Scene, chance: random.Random) -> Hostile:
    """More than a report may have, signed or not."""
    body = b"x" * chance.choice([65_537, 70_000, 200_000])
    secret = chance.choice([scene.secret, OTHER_SECRET])
    return _worker("oversized", _signed(secret, body), body, TOO_LARGE)


def cut_off(scene: Scene, chance: random.Random) -> Hostile:
    """The client announces a body and goes away in the middle."""
    whole = duplicate_headers(scene, chance)
    headers = [*whole.headers, ("content-length", str(len(whole.body) + 100))]
    return replace(whole, kind="cut off", headers=headers, cut=True)


def signed_nonsense(scene: Scene, chance: random.Random) -> Hostile:
    """The true signature over what is no report."""
    return _valid(scene, "signed, no report", chance.choice(NO_REPORTS), NO_REPORT)


ABSURD: list[tuple[str, list[Any]]] = [
    ("schemaVersion", [0, 2, "1", None]),
    ("jobId", ["", "a b", "j" * 151, "\u0000", "ﬁ", 7, None, {"a": 1}]),
    ("status", ["done", "", None, "COMPLETED"]),
    ("output", [None, [], {}, "x"]),
    ("output.mediaId", ["x", "", 1, None]),
    ("output.attempt", [0, -1, 1.5, "one", 10**30, None]),
    ("output.attemptId", ["y", None]),
    ("output.type", ["image", None]),
    ("output.worker", ["a\nb", "w" * 151, ""]),
    ("output.encoder", ["h266", 3]),
    ("error.code", ["boom", None]),
    ("error.message", ["m" * 501, None]),
    ("error.stderrTail", ["s" * 4001, 5]),
]


def signed_absurd(scene: Scene, chance: random.Random) -> Hostile:
    """The true signature over a report with one absurd value, about the running attempt."""
    name, values = chance.choice(ABSURD)
    body = _changed(_report(scene.running), name, chance.choice(values))
    return _valid(scene, "signed, absurd value", body, NO_REPORT)


def _changed(body: bytes, name: str, value: object) -> bytes:
    report = json.loads(body)
    *parents, last = name.split(".")
    target = report
    for parent in parents:
        target = target[parent]
    target[last] = value
    return json.dumps(report).encode()


LARGE = [2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63]


def signed_large(scene: Scene, chance: random.Random) -> Hostile:
    """A valid report about an attempt that no database column counts up to."""
    report = chance.choice([_report, _progress])(chance.choice(scene.unknown))
    body = _changed(report, "output.attempt", chance.choice(LARGE))
    return _valid(scene, "signed, huge attempt", body, HARMLESS | NO_REPORT)


def _progress(job: Job) -> bytes:
    progress = Progress(percent=99.9, stage="encode", rung="720p")
    return (
        Report(job_id=job.job_id, status="progress", output=job.output, progress=progress)
        .to_json()
        .encode()
    )


def _completion(job: Job) -> bytes:
    return completion(job).to_json().encode()


def signed_late(scene: Scene, chance: random.Random) -> Hostile:
    """A valid message about an attempt that is over or not there, with fields nobody knows."""
    job = chance.choice([scene.over, *scene.unknown[:3]])
    made = chance.choice([_report, _progress, _completion])
    body = _changed(made(job), "output.unheardOf", {"deep": [[["x\u0000"]]]})
    return _valid(scene, "signed, late, unknown fields", body, HARMLESS)


def signed_mismatch(scene: Scene, chance: random.Random) -> Hostile:
    """A valid message about the running attempt under another attempt's id."""
    body = _changed(_report(scene.running), "output.attemptId", str(uuid4()))
    return _valid(scene, "signed, mismatched attempt", body, HARMLESS)
