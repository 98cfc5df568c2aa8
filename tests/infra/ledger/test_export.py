"""The export is one state of the database, however many parts it has and whatever is appended."""

import asyncio
import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from uuid import UUID, uuid4

from infra.ledger import bundle
from infra.ledger.checkpoint import SigningKey
from infra.ledger.export import export
from infra.ledger.sealer import Sealer
from infra.ledger.verifier import verify
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.pool import Pool
from infra.settings import Settings
from tests.infra.ledger.ledgers import key_of
from tests.infra.lives import REQUESTED, live

SMALL = 4000
"""Bytes of a part: a few streams."""


async def exported(pool: Pool, settings: Settings, part_bytes: int = SMALL) -> BytesIO:
    """A bundle."""
    whole = BytesIO()
    async for chunk in export(pool, SigningKey(*settings.ledger_signer).public, part_bytes):
        whole.write(chunk)
    return whole


def events(packed: BytesIO) -> Iterator[list[tuple[int, bytes]]]:
    """The records of each part."""
    with zipfile.ZipFile(packed) as archive:
        for part in bundle.parts(archive):
            yield [*bundle.records(archive.read(bundle.events_of(part)))]


async def test_events_stand_by_stream_and_version_and_keep_their_places(
    pool: Pool, settings: Settings
) -> None:
    store, sealer = PostgresEventStore(pool), Sealer(pool, settings)
    await asyncio.gather(*(live(store, REQUESTED, uuid4()) for _ in range(9)))
    await sealer.seal_once()
    covered = await pool.fetchval("SELECT size FROM ledger_head")
    waiting = [UUID(int=0), *(uuid4() for _ in range(5)), UUID(int=2**128 - 1)]
    for stream in waiting:
        await live(store, REQUESTED, stream)
    packed = await exported(pool, settings)
    parts = [*events(packed)]
    assert len(parts) > 4
    keys = [[key_of(text) for _, text in part] for part in parts]
    assert [key for part in keys for key in part] == sorted(key for part in keys for key in part)
    assert all(before[-1][0] < after[0][0] for before, after in pairwise(keys))
    placed = {place: key_of(text) for part in parts for place, text in part}
    assert sorted(placed) == [*range(1, len(placed) + 1)]
    tail = [placed[place][0].decode() for place in range(covered + 1, len(placed) + 1, 3)]
    assert tail == [str(stream) for stream in waiting]
    verdict = verify(packed, [SigningKey(*settings.ledger_signer).public])
    assert verdict.findings == []
    assert (verdict.streams, verdict.covered) == (16, covered)
    assert len([*events(await exported(pool, settings, bundle.PART_BYTES))]) == 1


async def test_exports_beside_appends_and_sealing_verify(pool: Pool, settings: Settings) -> None:
    store, sealer = PostgresEventStore(pool), Sealer(pool, settings)
    over = asyncio.Event()

    async def append() -> None:
        while not over.is_set():
            await live(store, REQUESTED, uuid4())
            await sealer.seal_once()

    appending = [asyncio.create_task(append()) for _ in range(3)]
    sizes = [0]
    for _ in range(4):
        while await pool.fetchval("SELECT size FROM ledger_head") <= sizes[-1]:
            assert not any(task.done() for task in appending)
            await asyncio.sleep(0.01)
        verdict = verify(
            await exported(pool, settings), [SigningKey(*settings.ledger_signer).public]
        )
        assert [each for each in verdict.findings if "no checkpoint" not in each.what] == []
        sizes.append(verdict.events)
    over.set()
    await asyncio.gather(*appending)
    assert sizes == sorted(set(sizes))


async def test_row_of_any_id_is_exported_and_refused_without_events(
    pool: Pool, owner: Pool, settings: Settings
) -> None:
    await live(PostgresEventStore(pool), REQUESTED, uuid4())
    await Sealer(pool, settings).seal_once()
    for forged in (UUID(int=0), UUID(int=2**128 - 1)):
        await owner.execute(
            "INSERT INTO media_items SELECT (jsonb_populate_record("
            "m, jsonb_build_object('id', $1::uuid))).* FROM media_items m LIMIT 1",
            forged,
        )
        verdict = verify(
            await exported(pool, settings), [SigningKey(*settings.ledger_signer).public]
        )
        assert f"shows {forged}, which has no events" in str(verdict.findings)
