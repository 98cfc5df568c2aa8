"""The least that a status read can be: one Starlette route, the same SELECT, one JSON answer.

    python -m bench.bare PORT      (DATABASE_URL from the environment)

Authentication, ownership, schemas and ETags are what it lacks of ours.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.contenders import CONNECTIONS
from infra.postgres.queries import sql


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """A pool as large as the service's."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], max_size=CONNECTIONS) as pool:
        app.state.pool = pool
        yield


async def read_status(request: Request) -> Response:
    """The row, and of it what a status tells least."""
    media_id, creator = UUID(request.path_params["media_id"]), os.environ["BENCH_CREATOR"]
    row = await request.app.state.pool.fetchrow(sql("item"), media_id, creator)
    return JSONResponse({"mediaId": str(row["id"]), "status": row["status"]})


async def livez(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


def main() -> None:
    """Serve until told to stop."""
    routes = [
        Route("/api/transcoding/status/{media_id}", read_status),
        Route("/livez", livez),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(
        app, port=int(sys.argv[1]), access_log=False, log_level="warning", server_header=False
    )


if __name__ == "__main__":
    main()
