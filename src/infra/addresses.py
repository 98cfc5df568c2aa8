"""Whether an address is this very machine's."""

from urllib.parse import parse_qs, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def on_this_machine(url: str) -> bool:
    """Whether `url` is plain HTTP to a loopback address: nobody else can be behind it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def database_on_this_machine(dsn: str) -> bool:
    """Whether a `postgresql://` URL names loopback addresses or sockets alone, and at least one.

    One without a host leaves it to the environment, which may name any.
    """
    parts = urlsplit(dsn)
    hosts = [host for given in parse_qs(parts.query).get("host", []) for host in given.split(",")]
    hosts += [parts.hostname] if parts.hostname else []
    return bool(hosts) and all(host in LOOPBACK or host.startswith("/") for host in hosts)
