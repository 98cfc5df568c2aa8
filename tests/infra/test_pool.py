"""Nothing waits for ever at the database: not for a connection, nor for an answer, nor to close."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from infra.postgres.pool import UNAVAILABLE, Pool, PoolExhausted, open_pool
from tests.faults.fault import Action, Fault, Stage
from tests.faults.ways import proxied_database

SIZE = 2
PATIENCE_S = 30.0
"""Longer than every bound together; a test that reaches it waits for ever."""


async def _entered(pool: Pool) -> object:
    async with pool.acquire() as connection:
        return await connection.fetchval("SELECT 1")


async def _awaited(pool: Pool) -> object:
    connection = await pool.acquire()
    try:
        return await connection.fetchval("SELECT 1")
    finally:
        await pool.release(connection)


WAYS: dict[str, Callable[[Pool], Awaitable[object]]] = {
    "fetch": lambda pool: pool.fetch("SELECT 1"),
    "fetchrow": lambda pool: pool.fetchrow("SELECT 1"),
    "fetchval": lambda pool: pool.fetchval("SELECT 1"),
    "execute": lambda pool: pool.execute("SELECT 1"),
    "executemany": lambda pool: pool.executemany("SELECT $1::int", [(1,)]),
    "async with acquire": _entered,
    "await acquire": _awaited,
}


@asynccontextmanager
async def taken(pool: Pool) -> AsyncIterator[None]:
    """All connections of `pool` are in use."""
    async with AsyncExitStack() as stack:
        for _ in range(pool.get_max_size()):
            await stack.enter_async_context(pool.acquire())
        yield


async def test_f27_no_way_of_using_an_exhausted_pool_waits_for_ever(dsn: str) -> None:
    async with open_pool(dsn, SIZE) as pool, asyncio.timeout(PATIENCE_S):
        async with taken(pool):
            outcomes = await asyncio.gather(
                *(way(pool) for way in WAYS.values()), return_exceptions=True
            )
        told = {way: type(raised) for way, raised in zip(WAYS, outcomes, strict=True)}
        assert told == dict.fromkeys(WAYS, PoolExhausted)
        assert "all 2 connections were in use for 3 s" in str(outcomes[0])
        for way in WAYS.values():
            await way(pool)


async def test_f27_connection_that_is_given_back_in_time_serves_who_waits(dsn: str) -> None:
    async with open_pool(dsn, SIZE) as pool:
        async with taken(pool):
            waiting = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(3 * SIZE)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*waiting) == [1] * len(waiting)


def test_f27_exhausted_pool_is_one_of_the_ways_to_be_unavailable() -> None:
    assert issubclass(PoolExhausted, UNAVAILABLE)


async def test_f27_database_that_accepts_and_says_nothing_is_not_an_exhausted_pool(
    dsn: str,
) -> None:
    async with proxied_database(dsn) as (proxy, through), asyncio.timeout(PATIENCE_S):
        proxy.arm(Fault(Stage.CONNECT, Action.BLACKHOLE, lasting=True))
        async with open_pool(through, SIZE) as pool:
            with pytest.raises(TimeoutError) as raised:
                await pool.fetchval("SELECT 1")
            assert type(raised.value) is TimeoutError


async def test_f27_statement_ends_and_pool_closes_though_the_database_fell_silent(dsn: str) -> None:
    async with proxied_database(dsn) as (proxy, through), asyncio.timeout(PATIENCE_S):
        async with open_pool(through, SIZE) as pool:
            await asyncio.gather(*(pool.fetchval("SELECT pg_sleep(0.05)") for _ in range(SIZE)))
            proxy.arm(Fault(Stage.TO_CLIENT, Action.BLACKHOLE, lasting=True))
            with pytest.raises(TimeoutError):
                await pool.fetchval("SELECT 1", timeout=0.2)
        assert pool.is_closing()


async def test_f27_pool_closes_though_somebody_keeps_a_connection(dsn: str) -> None:
    async with asyncio.timeout(PATIENCE_S), open_pool(dsn, SIZE) as pool:
        await pool.acquire()
    assert pool.is_closing()
