"""The secrets of one data folder, made once."""

import base64
import secrets
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from infra.embedded.errors import SecretsUnreadable
from infra.embedded.private_file import write_private

_JSON_OBJECT: TypeAdapter[dict[str, str]] = TypeAdapter(
    dict[str, str], config=ConfigDict(hide_input_in_errors=True)
)


class StackSecrets(BaseModel):
    """What the parts authenticate each other with; kept in `secrets.json`, mode 0600."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    r2_access_key_id: str
    r2_secret_access_key: str
    runpod_api_key: str
    webhook_secret: str
    """Standard Webhooks form: `whsec_` and Base64 of 32 bytes."""
    jwt_secret: str
    capability_secret: str
    """`KEYID:BASE64` of 32 bytes."""
    ledger_key: str
    """`NAME:BASE64` of 32 bytes."""

    @classmethod
    def generate(cls) -> Self:
        return cls(
            r2_access_key_id=secrets.token_hex(16),
            r2_secret_access_key=secrets.token_hex(32),
            runpod_api_key=f"rpa_{secrets.token_urlsafe(32)}",
            webhook_secret=f"whsec_{_random_base64()}",
            jwt_secret=secrets.token_urlsafe(48),
            capability_secret=f"k1:{_random_base64()}",
            ledger_key=f"codex-media-local:{_random_base64()}",
        )

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The folder's secrets, generated on first use; :class:`SecretsUnreadable` if damaged.

        A file of an earlier version, which lacks some, is completed. For the holder of the folder's
        lock alone.
        """
        path = folder / "secrets.json"
        made = cls.generate()
        try:
            kept = _JSON_OBJECT.validate_json(path.read_bytes()) if path.exists() else {}
            found = cls.model_validate(made.model_dump() | kept)
        except ValidationError as error:
            reason = f"{error.error_count()} of its fields are wrong"
            raise SecretsUnreadable(path, reason) from None
        if kept != found.model_dump():
            write_private(path, found.model_dump_json(indent=1) + "\n")
        return found


def _random_base64() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
