"""Who asks too often is answered 429, and told when to come back."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request

from api.problems import ApiError
from infra.figures.process import RATE_LIMITED
from infra.rates import Pace, Rates, Standing

SITE_BITS = 64
"""Of an IPv6 address: whoever has one has as many as he likes below it."""


class Gate:
    """Counts requests, by user where somebody is signed in, else by address."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    async def admit(self, pace: Pace, request: Request, user: str | None) -> dict[str, str]:
        """The headers that tell how many more there may be; 429 where there may be none."""
        who = f"user:{user}" if user else f"from:{_network(request)}"
        standing = await self._rates.hit(pace, who)
        if standing is None:
            return {}
        headers = _headers(pace, standing)
        if standing.retry_after_s is not None:
            RATE_LIMITED.labels(pace.value).inc()
            detail = (
                f"More than {standing.limit} {pace.replace('_', '-')} in {standing.window_s} "
                f"seconds. Try again in {standing.retry_after_s} seconds."
            )
            raise ApiError(429, "rate_limited", detail, standing.retry_after_s, headers=headers)
        return headers


def _headers(pace: Pace, standing: Standing) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it."""
    resets = "" if standing.retry_after_s is None else f";t={standing.retry_after_s}"
    return {
        "ratelimit-policy": f'"{pace}";q={standing.limit};w={standing.window_s}',
        "ratelimit": f'"{pace}";r={standing.remaining}{resets}',
    }


def _network(request: Request) -> str:
    return _of(request.client.host) if request.client else "nowhere"


@lru_cache(maxsize=4_096)
def _of(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, SITE_BITS), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
