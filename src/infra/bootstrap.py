"""The composition root: one async context makes everything the service runs on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from domain.ports import EventStore
from domain.use_cases import (
    Assistants,
    Dispatch,
    Erasure,
    Outcomes,
    PartUploads,
    Reports,
    Retention,
    Uploads,
)
from domain.use_cases.erasure import Keeping
from infra.claims import BucketClaims
from infra.figures.process import Invariant, violated
from infra.inbox import MessageDesk, own_keys
from infra.ledger.reader import LedgerReader
from infra.ledger.sealer import Sealer
from infra.object_storage import S3ObjectStorage, open_storage
from infra.output_gate import BucketOutputGate
from infra.postgres.erasures import PostgresErasures
from infra.postgres.event_store import PostgresEventStore
from infra.postgres.evidence import PostgresEvidence
from infra.postgres.inbox import PostgresInbox
from infra.postgres.live import LiveReads
from infra.postgres.part_book import PostgresPartBook
from infra.postgres.pool import Pool, open_pool
from infra.postgres.progress import ProgressBoard
from infra.postgres.quotas import PostgresQuotas
from infra.postgres.reads import MediaReads
from infra.postgres.roster import PostgresRoster
from infra.postgres.tally import Tally
from infra.postgres.work import (
    PROBE_EVERY,
    PostgresBreakers,
    PostgresDeadlines,
    PostgresOutbox,
    PostgresWatchlist,
)
from infra.runpod_transcoder import RunpodTranscoder, open_transcoder
from infra.settings import Settings

MARGIN = timedelta(minutes=5)
"""For what is under way between clocks."""


@dataclass(frozen=True, slots=True)
class Services:
    """What routes, loops and commands work with."""

    settings: Settings
    pool: Pool
    store: EventStore
    storage: S3ObjectStorage
    transcoder: RunpodTranscoder
    outbox: PostgresOutbox
    watchlist: PostgresWatchlist
    reads: MediaReads
    live: LiveReads
    progress: ProgressBoard
    breakers: PostgresBreakers
    deadlines: PostgresDeadlines
    desk: MessageDesk
    evidence: PostgresEvidence
    sealer: Sealer
    ledger: LedgerReader
    uploads: Uploads
    parts: PartUploads
    dispatch: Dispatch
    outcomes: Outcomes
    assistants: Assistants
    erasure: Erasure
    retention: Retention
    tally: Tally
    reserved: "Services | None" = None
    """The same on connections of its own, for what must get through when all others are taken."""


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Connect to everything `settings` name, and let go of it at the end."""
    async with AsyncExitStack() as stack:
        dsn = settings.database_url.get_secret_value()
        pool = await stack.enter_async_context(open_pool(dsn, settings.database_connections))
        kept = await stack.enter_async_context(open_pool(dsn, settings.webhook_connections))
        storage = await stack.enter_async_context(open_storage(settings))
        transcoder = await stack.enter_async_context(open_transcoder(settings))
        reserved = compose(settings, kept, storage, transcoder)
        yield replace(compose(settings, pool, storage, transcoder), reserved=reserved)


def compose(
    settings: Settings, pool: Pool, storage: S3ObjectStorage, transcoder: RunpodTranscoder
) -> Services:
    """Wire the parts together."""
    lease = timedelta(seconds=settings.lease_s)
    polls = (timedelta(seconds=settings.poll_first_s), timedelta(seconds=settings.poll_last_s))
    store = PostgresEventStore(pool)
    outbox = PostgresOutbox(pool, lease)
    watchlist = PostgresWatchlist(pool, *polls)
    breakers = PostgresBreakers(pool, min(lease, PROBE_EVERY))
    evidence = PostgresEvidence(pool)
    claims = BucketClaims(storage)
    window = timedelta(seconds=settings.transcoding_window_s)
    wait_s = settings.unknown_wait_s
    dispatch = Dispatch(store, transcoder, outbox, claims, breakers, window, wait_s)
    gate = BucketOutputGate(storage)
    life_s = settings.claim_life_s
    outcomes = Outcomes(
        store, transcoder, gate, claims, outbox, watchlist, breakers, evidence, life_s
    )
    parts = PartUploads(
        storage.parts(),
        storage,
        PostgresPartBook(pool),
        settings.multipart_threshold_bytes,
        settings.multipart_part_bytes,
    )
    erasures = PostgresErasures(pool, lease)
    erasure = Erasure(store, transcoder, erasures, storage.of_items(), _linger(settings))
    upload_window = timedelta(seconds=settings.upload_window_s)
    return Services(
        settings=settings,
        pool=pool,
        store=store,
        storage=storage,
        transcoder=transcoder,
        outbox=outbox,
        watchlist=watchlist,
        reads=MediaReads(pool),
        live=LiveReads(pool),
        progress=ProgressBoard(pool),
        breakers=breakers,
        deadlines=PostgresDeadlines(pool),
        desk=MessageDesk(
            PostgresInbox(pool, lease),
            Reports(outcomes, own_keys, partial(violated, Invariant.OWN_KEYS)),
        ),
        evidence=evidence,
        sealer=Sealer(pool, settings),
        ledger=LedgerReader(pool),
        uploads=Uploads(
            store,
            storage,
            dispatch,
            settings.max_upload_bytes,
            upload_window,
            parts,
            PostgresQuotas(pool, settings.quotas, upload_window) if any(settings.quotas) else None,
            tuple(settings.upload_types.split()),
        ),
        parts=parts,
        dispatch=dispatch,
        outcomes=outcomes,
        assistants=Assistants(
            store, transcoder, PostgresRoster(pool, lease), settings.chunk_assistants
        ),
        erasure=erasure,
        retention=Retention(erasure, erasures, _keeping(settings)),
        tally=Tally(pool, settings.gpu_second_price, settings.execution_timeout_s),
    )


def _linger(settings: Settings) -> timedelta:
    """How long objects of an item may come after it changed last.

    A presigned URL outlives its upload, and a job its attempt: RunPod ends that with its `ttl`.
    """
    longest_s = max(settings.upload_url_ttl_s, settings.transcoding_window_s)
    return timedelta(seconds=longest_s) + MARGIN


def _keeping(settings: Settings) -> Keeping:
    days = (settings.retain_media_days, settings.retain_failed_days)
    media, failed = (None if each is None else timedelta(days=each) for each in days)
    return Keeping(media, failed)
