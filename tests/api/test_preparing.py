"""`secrets` and `bucket`: what comes before a service's first start."""

import stat
from pathlib import Path
from typing import Any

import boto3
import pytest

from api.cli.env_file import TO_FILL_IN, for_compose, for_hosts_elsewhere
from api.cli.stand_in import worker_settings
from gpu_worker.settings import WorkerSettings
from infra.settings import Settings, load
from tests.api.console import Console
from tests.deploy.compose import parsed

ORIGIN = "https://media.example.com"
GIVEN = {
    "DATABASE_URL": "postgresql://a@db.test/a",
    "R2_ENDPOINT": "https://r2.test",
    "R2_BUCKET": "films",
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "secret",
    "RUNPOD_ENDPOINT_ID": "endpoint",
    "RUNPOD_API_KEY": "rpa_key",
    "PUBLIC_APP_URL": ORIGIN,
}


def test_with_its_blanks_filled_in_a_new_file_is_a_whole_set_of_settings() -> None:
    made = parsed(for_hosts_elsewhere("media.example.com"))

    blanks = {name for name, value in made.items() if not value}
    assert blanks == {name for name, _ in TO_FILL_IN} == set(GIVEN)
    settings = load(made | GIVEN)
    assert settings.ledger_signer.name == "media.example.com"
    assert settings.webhook_keys == (made["WEBHOOK_SECRET"],)
    required = {
        field.upper() for field, each in Settings.model_fields.items() if each.is_required()
    }
    assert required <= set(made)


def test_no_two_secrets_are_the_same_and_none_comes_twice() -> None:
    def secrets(text: str) -> set[str]:
        values = {name: value.split(":")[-1] for name, value in parsed(text).items()}
        known = {"PUBLIC_APP_URL", "R2_ENDPOINT", "RUNPOD_BASE_URL", "RUNPOD_ENDPOINT_ID"}
        return {value for name, value in values.items() if name not in known | {"WEBHOOK_SECRET"}}

    one, other = secrets(for_compose("a")), secrets(for_compose("a"))

    assert len(one) == len(other) == 8
    assert not one & other


def test_the_file_is_for_this_user_alone_and_never_replaced(
    console: Console, tmp_path: Path
) -> None:
    path = tmp_path / "service.env"

    assert console.run("secrets", "--out", str(path)).code == 0
    kept = path.read_text()
    again = console.run("secrets", "--out", str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (again.code, path.read_text()) == (1, kept)
    assert "is there already" in again.err


def test_a_name_that_no_note_can_carry_is_refused(console: Console) -> None:
    refused = console.run("secrets", "--name", "a b")

    assert refused.code == 1
    assert "names no ledger" in refused.err


@pytest.mark.parametrize("origin", [None, "https://www.example.com"])
def test_a_bucket_is_made_once_and_lets_pages_in(
    console: Console, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, origin: str | None
) -> None:
    name = f"{environ['R2_BUCKET']}-new"
    for variable, value in (environ | {"R2_BUCKET": name, "PUBLIC_APP_URL": ORIGIN}).items():
        monkeypatch.setenv(variable, value)
    arguments = ["--origin", origin] if origin else []

    made = console.run("bucket", *arguments)
    again = console.run("bucket", *arguments)

    assert made.out == f"{name}: made; pages of {origin or ORIGIN} may upload\n"
    assert again.out == f"{name}: was there; pages of {origin or ORIGIN} may upload\n"
    (rule,) = rules(environ["R2_ENDPOINT"], name)
    assert rule["AllowedOrigins"] == [origin or ORIGIN]
    assert "PUT" in rule["AllowedMethods"]


def rules(endpoint: str, bucket: str) -> list[Any]:
    """The bucket's CORS rules."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    found: list[Any] = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    s3.close()
    return found


def test_a_store_that_is_away_is_told_in_a_sentence(
    console: Console, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (environ | {"R2_ENDPOINT": "http://127.0.0.1:9"}).items():
        monkeypatch.setenv(variable, value)

    refused = console.run("bucket")

    assert refused.code == 1
    assert refused.err.startswith("error: the bucket did not answer")


@pytest.mark.parametrize("url", ["https://api.runpod.ai", "http://127.0.0.1"])
def test_nobody_stands_in_for_runpod_elsewhere(
    console: Console, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for variable, value in (environ | {"RUNPOD_BASE_URL": url}).items():
        monkeypatch.setenv(variable, value)

    refused = console.run("stand-in")

    assert refused.code == 1
    assert "RUNPOD_BASE_URL must be a port of this machine" in refused.err


def test_a_stand_in_gives_its_workers_what_they_read(settings: Settings) -> None:
    worker = WorkerSettings.from_environ(worker_settings(settings))

    assert worker.webhook_secret.get_secret_value() == settings.webhook_keys[0]
    assert worker.r2_endpoint == settings.r2_endpoint
