"""Settings of what the service tells of itself: logs, figures, traces."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints

from gpu_worker.contract_logs import LogFormat

STANDARD = "standard"
"""The tier of everybody whose token names none that is known."""
MOST_TIERS = 16
"""Each is a label: figures stay as few as they are useful."""
_TIER = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PASSWORD = re.compile(r"[a-z]+://[^/?#@]*?:([^/?#@]+)@")
"""Of a URL."""


def _tiers(value: str) -> str:
    words = value.split()
    if not all(map(_TIER.fullmatch, words)) or len(words) > MOST_TIERS:
        raise ValueError(f"holds at most {MOST_TIERS} names of a-z, 0-9, _ and -")
    return value


class ObservedSettings(BaseModel):
    """Mixed into `infra.settings.Settings`."""

    log_format: LogFormat = Field(
        default="auto",
        description="`json`, `text`, or `auto`: text on a terminal, JSON lines elsewhere.",
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="Where `work` answers `/metrics` and `/livez`."
    )
    metrics_host: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="127.0.0.1", description="On this address; nobody needs to sign in there."
    )
    creator_tiers: Annotated[str, AfterValidator(_tiers)] = Field(
        default=STANDARD,
        description="Tiers of creators by which GPU time and cost are summed, space-separated: what"
        " a token's claim `tier` may say. Any other one counts as `standard`.",
    )
    gpu_second_price: float = Field(
        default=0, ge=0, description="What a GPU second costs, in the currency of your choice."
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="A collector of traces (OTLP over HTTP), such as `http://collector:4318`;"
        " needs the extra `otel`.",
    )

    @property
    def known_tiers(self) -> frozenset[str]:
        """Every tier there is."""
        return frozenset({STANDARD, *self.creator_tiers.split()})

    def secrets(self) -> Iterator[str]:
        """Every secret, and every part of one that is secret by itself: none belongs in a log."""
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), SecretStr):
                text = value.get_secret_value()
                yield from (text, *text.split(), *(pair.partition(":")[2] for pair in text.split()))
                if password := _PASSWORD.match(text):
                    yield password[1]
