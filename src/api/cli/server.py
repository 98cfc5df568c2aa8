"""`serve` and `work`: the service's own processes."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette

from api.app import create_app
from api.observed_work import answering
from api.security_http import guarded
from gpu_worker.contract_logs import configure
from infra.addresses import LOOPBACK
from infra.bootstrap import open_services
from infra.bucket_setup import prepare_bucket
from infra.figures.process import LineCounter
from infra.loops import Pulse, run_loops
from infra.otlp import exporting
from infra.settings import Settings, SettingsInvalid

KEEP_ALIVE_S = 30
DRAIN_S = 3


def configure_logging(settings: Settings, part: str) -> None:
    """Lines on stderr, as `settings` want them; those that tell of trouble are counted."""
    configure(part, settings.log_level, settings.log_format, settings.secrets())
    logging.getLogger().addHandler(LineCounter())


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve the API until told to stop; open requests get `DRAIN_S` seconds to end."""
    if settings.demo_sign_in and host not in LOOPBACK:
        raise SettingsInvalid(
            f"DEMO_SIGN_IN lets anybody in: `--host {host}` would let others reach it"
        )
    configure_logging(settings, "serve")
    app = create_app(settings, open_services(settings))
    with exporting(settings.otel_exporter_otlp_endpoint, "serve") as flush:
        Server(configured(app, settings, host, port), app, flush).run()


def configured(app: Starlette, settings: Settings, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves `app`."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=guarded(settings.head_timeout_s, settings.max_header_bytes),
        ws="none",
        access_log=False,  # It prints paths, and those of webhooks and playback hold tokens.
        log_config=None,  # Its lines look as all others do.
        forwarded_allow_ips=settings.trusted_addresses,
        limit_concurrency=settings.streams_per_process + settings.connections_per_process,
        h11_max_incomplete_event_size=settings.max_header_bytes,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        server_header=False,
    )


class Server(uvicorn.Server):
    """uvicorn that ends event streams before it waits for requests to end: they never would."""

    def __init__(
        self, config: uvicorn.Config, app: Starlette, flush: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._flush = flush

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in order."""
        self._app.state.hub.end_all()
        await super().shutdown(sockets)
        # Here, since uvicorn ends the process by the signal that told it to end.
        await asyncio.to_thread(self._flush)


def work(settings: Settings) -> None:
    """Run the loops until told to stop."""
    configure_logging(settings, "work")
    with exporting(settings.otel_exporter_otlp_endpoint, "work"):
        asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    pulse = Pulse()
    async with open_services(settings) as services, answering(settings, pulse):
        await run_loops(services, stop, pulse)


def prepare(settings: Settings, origins: Sequence[str]) -> str:
    """Make the bucket ready; a sentence that says what was done."""
    own = urlsplit(settings.public_app_url)
    allowed = origins or [f"{own.scheme}://{own.netloc}"]
    made = asyncio.run(prepare_bucket(settings, allowed))
    there = "made" if made else "was there"
    return f"{settings.r2_bucket}: {there}; pages of {', '.join(allowed)} may upload"
