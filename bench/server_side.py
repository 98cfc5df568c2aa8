"""The service's append function called by pgbench: what an append costs without any Python.

Each connection lives whole lives, one call of `append_batch` for each append, a transaction each:
nothing is gathered into batches, and no sealer runs beside it.
"""

from pathlib import Path
from uuid import uuid4

import asyncpg

from bench.ceiling import Pgbench
from bench.database import STATEMENT_LIMIT_S, Server
from bench.lives import APPENDS_PER_LIFE, life
from domain.read_model import project
from infra.postgres.event_store import canonical, envelope, sealed_anew
from tests import factories as f

STEPS = """
CREATE TABLE steps (step integer PRIMARY KEY, version integer, occurred_at timestamptz,
    actor text, correlation_id uuid, causation_id uuid, traceparent text, evidence bytea,
    projected text, types text[], schema_versions integer[], payloads json[])"""
KEEP_STEP = "INSERT INTO steps VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
ONE_LIFE = "SELECT gen_random_uuid() AS id \\gset\n"
ONE_APPEND = """
SELECT a.* FROM steps AS s, append_batch(ARRAY[:id::uuid], ARRAY[s.version], ARRAY[1],
    ARRAY[cardinality(s.types)], ARRAY[s.occurred_at], ARRAY[s.actor], ARRAY[s.correlation_id],
    ARRAY[s.causation_id], ARRAY[s.traceparent], ARRAY[s.evidence],
    ARRAY[replace(s.projected, '{template}', :id)::json],
    ARRAY(SELECT gen_random_uuid() FROM unnest(s.types)), s.types, s.schema_versions, s.payloads
) AS a WHERE s.step = {step};
"""


async def prepare(server: Server, database: str, folder: Path) -> Pgbench:
    """Keep the steps of one life in a table of a migrated database, to be lived by pgbench."""
    template = uuid4()
    connection = await asyncpg.connect(server.database(database), command_timeout=STATEMENT_LIMIT_S)
    try:
        await connection.execute(STEPS)
        for number, step in enumerate(life(template)):
            shared = envelope(f.NOW, f.context(), project(template, step.item))
            types = [event.type for event in step.events]
            versions = [event.schema_version for event in step.events]
            payloads = [canonical(sealed_anew(event).event) for event in step.events]
            await connection.execute(
                KEEP_STEP, number, step.version, *shared, types, versions, payloads
            )
    finally:
        await connection.close()
    calls = (ONE_APPEND.format(template=template, step=n) for n in range(APPENDS_PER_LIFE))
    return Pgbench(server, database, folder, ONE_LIFE + "".join(calls), APPENDS_PER_LIFE)
