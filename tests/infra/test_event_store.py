"""The event store on PostgreSQL."""
from infra.bootstrap import Services
from uuid import uuid4


async def test_load_of_unknown_stream_is_empty(services: Services) -> None:
    assert await services.store.load(uuid4()) == []
