"""The page that Prometheus reads. Source: prometheus.io, "Exposition formats", 0.0.4."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from infra.figures.database import Measured, Samples
from infra.figures.process import REGISTRY

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def of_process() -> bytes:
    """What this process counted since it began."""
    return generate_latest(REGISTRY)


def of_service(samples: Iterable[Measured]) -> bytes:
    """The database's figures, and what this process counted."""
    registry = CollectorRegistry()
    registry.register(Samples(samples))
    return generate_latest(registry) + of_process()
