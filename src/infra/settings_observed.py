"""Settings of what the service tells of itself: logs, figures, traces."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from gpu_worker.contract_logs import LogFormat

_PASSWORD = re.compile(r"[a-z]+://[^/?#@]*?:([^/?#@]+)@")
"""Of a URL."""


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

    def secrets(self) -> Iterator[str]:
        """Every secret, and every part of one that is secret by itself: none belongs in a log."""
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), SecretStr):
                text = value.get_secret_value()
                yield from (text, *text.split(), *(pair.partition(":")[2] for pair in text.split()))
                if password := _PASSWORD.match(text):
                    yield password[1]
