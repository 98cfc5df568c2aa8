"""Hostile messages, made by a seeded generator: a kind, its bytes, and what may be answered."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from gpu_worker.contract import Progress, Report
from gpu_worker.signature import sign
from tests.api.gpu import WEBHOOK, Job, completion, failure
from tests.hostile.scene import Scene

Headers = list[tuple[str, str]]
REFUSED = frozenset({401})
NO_REPORT = frozenset({422})
TOO_LARGE = frozenset({413})
HARMLESS = frozenset({200})
SIGNATURE = "webhook-signature"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request."""

    kind: str
    path: str
    headers: Headers
    body: bytes
    allowed: frozenset[int]
    cut: bool = False
    """The client goes away before the body's end; nobody reads an answer."""


Make = Callable[[Scene, random.Random], Hostile]


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
    return _worker("wrong secret", _signed(scene.other_secret, body), body, REFUSED)


def flipped_signature(scene: Scene, chance: random.Random) -> Hostile:
    """A good signature with one bit of one character changed."""
    body = _report(scene.running)
    headers = _signed(scene.secret, body)
    good = dict(headers)[SIGNATURE]
    return _worker(
        "flipped signature", _with(headers, SIGNATURE, _flip(good, chance)), body, REFUSED
    )


def _flip(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    other = chr(ord(text[place]) ^ (1 << chance.randrange(5)))
    return text[:place] + (other if other.isprintable() and other != "/" else "~") + text[place + 1 :]


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
        [f"v2,{mac}", f"v1a,{mac}", mac, f"V1,{mac}", "v1,", ",", f"v1,{mac[:-1]}", f"v1, {mac}"]
        + [" ".join(f"v1,{chance.getrandbits(256):064x}" for _ in range(200)), "v1,é\x80ÿ"]
    )
    return _worker("other scheme", _with(headers, SIGNATURE, offered), body, REFUSED)


def duplicate_headers(scene: Scene, chance: random.Random) -> Hostile:
    """Every header twice, the forged one first."""
    body = _report(scene.running)
    good, forged = _signed(scene.secret, body), _signed(scene.other_secret, body)
    return _worker("duplicate headers", [*forged, *good], body, REFUSED)


def garbage(scene: Scene, chance: random.Random) -> Hostile:
    """Random bytes under a forged signature."""
    body = chance.randbytes(chance.randrange(2000))
    return _worker("garbage", _signed(scene.other_secret, body), body, REFUSED)


def oversized(scene: Scene, chance: random.Random) -> Hostile:
    """More than a report may have, signed or not."""
    body = b"x" * chance.choice([65_537, 70_000, 200_000])
    secret = chance.choice([scene.secret, scene.other_secret])
    return _worker("oversized", _signed(secret, body), body, TOO_LARGE)


def cut_off(scene: Scene, chance: random.Random) -> Hostile:
    """The client announces a body and goes away in the middle."""
    whole = duplicate_headers(scene, chance)
    headers = [*whole.headers, ("content-length", str(len(whole.body) + 100))]
    return replace(whole, kind="cut off", headers=headers, cut=True)


NO_REPORTS: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"\x00",
    b"\xff\xfe",
    b"[" * 30_000,
    b'{"a":' * 10_000,
    b"9" * 60_000,
    b"1e400",
    b'{"jobId":"\\ud800"}',
    b'{"jobId":"a","jobId":"b"}',
    "\ufeff{}".encode(),
]


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


def signed_late(scene: Scene, chance: random.Random) -> Hostile:
    """A valid message about an attempt that is over or not there, with fields nobody knows."""
    job = chance.choice([scene.over, *scene.unknown[:3]])
    made = chance.choice([_report, _progress, lambda each: completion(each).to_json().encode()])
    body = _changed(made(job), "output.unheardOf", {"deep": [[["x\u0000"]]]})
    return _valid(scene, "signed, late, unknown fields", body, HARMLESS)


def signed_mismatch(scene: Scene, chance: random.Random) -> Hostile:
    """A valid message about the running attempt under another attempt's id."""
    body = _changed(_report(scene.running), "output.attemptId", str(uuid4()))
    return _valid(scene, "signed, mismatched attempt", body, HARMLESS)


def _native(
    kind: str, token: str, body: bytes, allowed: frozenset[int], chance: random.Random
) -> Hostile:
    # A path holds neither `/` nor `?` nor `#` in one of its parts.
    safe = token.translate({ord(char): "_" for char in "/?#% "})
    headers = [("content-type", "application/json")]
    return Hostile(kind, f"{WEBHOOK}/{safe or '-'}", headers, body, allowed)


def random_token(scene: Scene, chance: random.Random) -> Hostile:
    """No token at all."""
    token = chance.choice(
        [
            "".join(chr(chance.randrange(33, 0x2FF)) for _ in range(chance.randrange(1, 200))),
            "." * chance.randrange(1, 50),
            "webhook.....",
            "x" * 8000,
            f"webhook.{'0' * 32}.1.9999999999.k1.",
            "\x00\x01\x7f",
        ]
    )
    return _native("token that is none", token, b"{}", REFUSED, chance)


def flipped_token(scene: Scene, chance: random.Random) -> Hostile:
    """A good token with one bit of one character changed."""
    token = _flip(scene.token(scene.running), chance)
    return _native("flipped token", token, _hint(scene.running), REFUSED, chance)


def _hint(job: Job) -> bytes:
    return json.dumps({"id": job.job_id, "status": "COMPLETED", "output": {}}).encode()


def edited_token(scene: Scene, chance: random.Random) -> Hostile:
    """A good token whose attempt, item, end or key was edited."""
    parts = scene.token(scene.over).split(".")
    place = chance.choice([1, 2, 3, 4])
    parts[place] = {1: scene.running.media_id.hex, 2: "2", 3: "99999999999", 4: "k0"}[place]
    return _native("edited token", ".".join(parts), _hint(scene.running), REFUSED, chance)


def other_token(scene: Scene, chance: random.Random) -> Hostile:
    """A token of ours for something else, one that is over, or one of somebody else's key."""
    job = scene.running
    key = scene.settings.capability_keys[0]._replace(secret=b"attacker" * 4)
    token = chance.choice(
        [
            lambda: scene.token(job, purpose="play"),
            lambda: scene.token(job, life_s=-1),
            lambda: scene.token(job, key=scene.other_key),
            lambda: scene.token(job, key=key),
        ]
    )()
    return _native("token of another purpose, time or key", token, _hint(job), REFUSED, chance)


def leaked_token(scene: Scene, chance: random.Random) -> Hostile:
    """A good token of an attempt that is over or not begun, over any bytes."""
    job = chance.choice([scene.over, scene.running._replace(attempt=2), *scene.unknown[:3]])
    body = chance.choice([chance.randbytes(200), _hint(scene.running), *NO_REPORTS])
    return _native("leaked token of another attempt", scene.token(job), body, HARMLESS, chance)


def oversized_hint(scene: Scene, chance: random.Random) -> Hostile:
    """A good token, and more than RunPod would ever send."""
    body = b"x" * (1024 * 1024 + 1)
    return _native("oversized hint", scene.token(scene.running), body, TOO_LARGE, chance)


COMMON: tuple[Make, ...] = (
    unsigned,
    wrong_secret,
    flipped_signature,
    changed_body,
    wrong_time,
    no_time,
    other_scheme,
    duplicate_headers,
    garbage,
    cut_off,
    signed_nonsense,
    signed_absurd,
    signed_large,
    signed_late,
    signed_mismatch,
    random_token,
    flipped_token,
    edited_token,
    other_token,
    leaked_token,
)
COSTLY: tuple[Make, ...] = (oversized, oversized_hint)
"""Made less often: each is large."""


def hostile(scene: Scene, chance: random.Random) -> Hostile:
    """Any one."""
    kinds = COSTLY if chance.random() < 0.02 else COMMON
    return chance.choice(kinds)(scene, chance)
