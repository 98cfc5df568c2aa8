"""Free TCP ports on the loopback interface."""

import asyncio
import random
import socket

FIRST, LAST = 10_100, 22_000
"""Below the ranges that Linux (32768…) and macOS (49152…) take outgoing connections from, also
with `GRPC_OFFSET` added: no connection can take a port between its choice and its use."""
GRPC_OFFSET = 10_000
"""SeaweedFS opens each service's gRPC port this much above its HTTP port."""
TRIES = 200
CONNECT_TIMEOUT_S = 2.0


def free_port() -> int:
    """A port that nothing listens on."""
    return _choose(1, set())[0]


def free_ports_with_grpc(count: int) -> list[int]:
    """`count` different ports, each free together with the one `GRPC_OFFSET` above."""
    return _choose(count, {GRPC_OFFSET})


async def listens(port: int) -> bool:
    """Whether something on this machine accepts connections on `port`."""
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", port), CONNECT_TIMEOUT_S
        )
    except (OSError, TimeoutError):
        return False
    writer.close()
    await writer.wait_closed()
    return True


def _choose(count: int, offsets: set[int]) -> list[int]:
    chosen: list[int] = []
    for _ in range(TRIES):
        if len(chosen) == count:
            return chosen
        port = random.randint(FIRST, LAST)  # noqa: S311 - spreads stacks apart; hides nothing
        if port not in chosen and all(_is_free(port + offset) for offset in {0, *offsets}):
            chosen.append(port)
    raise OSError(f"found no {count} free ports between {FIRST} and {LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: else a port whose last connections linger in TIME_WAIT looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
