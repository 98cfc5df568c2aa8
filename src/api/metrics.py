"""What the service knows of itself, for Prometheus."""

import logging

from starlette.responses import Response

from api.health import AWAY
from api.operations import Call
from infra.figures.database import measure
from infra.figures.exposition import CONTENT_TYPE, of_service

log = logging.getLogger(__name__)


async def read_metrics(call: Call) -> Response:
    """The figures as they are now; this process's own counts alone while the database is away."""
    try:
        measured = await measure(call.services.pool)
    except AWAY as error:
        log.warning("figures of the database cannot be told: %s", type(error).__name__)
        measured = []
    return Response(of_service(measured), headers={"content-type": CONTENT_TYPE})
