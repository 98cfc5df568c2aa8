"""What both clients share: how long they wait, and what becomes of an answer."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from codex_media.calls import Call
from codex_media.errors import ServiceFailed, ServiceUnreachable, refusal

T = TypeVar("T")

TIMEOUT = httpx.Timeout(15.0, connect=5.0)
PATIENCE_S = 30.0
QUIET_S = 40.0
"""A stream says something every 15 s; one that is silent for so long is dead."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def proxied(url: str) -> bool:
    """Whether the environment's proxy variables apply to `url`: not to this very machine."""
    return urlsplit(url).hostname not in LOOPBACK


def headers(token: str | None) -> dict[str, str]:
    """What every request carries."""
    return {"authorization": f"Bearer {token}"} if token else {}


def request(http: httpx.Client | httpx.AsyncClient, call: Call[T]) -> httpx.Request:
    """The call as a request."""
    return http.build_request(
        call.method,
        call.path,
        params=dict(call.query) or None,
        headers=dict(call.headers),
        json=call.json,
    )


def outcome(call: Call[T], answer: httpx.Response) -> T:
    """What the answer says; the error it stands for where the service refuses.

    An answer that cannot be read is none of this service's: `ServiceFailed`.
    """
    if not (answer.is_success or answer.status_code in call.taken):
        raise refusal(answer)
    try:
        return call.read(answer)
    except ValueError as error:
        told = f"The answer to {call.operation} cannot be read: {error}"
        raise ServiceFailed(answer.status_code, "unexpected_answer", told) from None


def unreachable(base_url: object, error: Exception) -> ServiceUnreachable:
    """What to tell when nobody answers."""
    return ServiceUnreachable(f"{base_url} does not answer ({error or type(error).__name__}).")


def streaming(deadline_left_s: float) -> Mapping[str, float]:
    """Time-outs of a stream: it may be silent, but not for ever, nor past the deadline."""
    return {
        "connect": 5.0,
        "write": 15.0,
        "pool": 5.0,
        "read": max(0.1, min(QUIET_S, deadline_left_s)),
    }
