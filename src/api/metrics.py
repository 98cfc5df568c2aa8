"""What the service knows of itself, for Prometheus."""

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from api.operations import Call
from infra.figures import exposition, measure


async def read_metrics(call: Call) -> Response:
    """The figures as they are now; 503 while the database is away."""
    body = exposition(await measure(call.services.pool))
    return Response(body, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})
