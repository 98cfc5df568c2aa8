"""The worker's doctor tells a bucket on which claims mean nothing."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from gpu_worker import doctor, sandbox
from tests.faulty_store import FaultyStore, Refusal, faulty_store
from tests.gpu_worker.jobs import environ_of


@pytest.fixture
def environ(s3_endpoint: str, bucket: str, tmp_path: Path) -> dict[str, str]:
    return environ_of(s3_endpoint, bucket, tmp_path)


def said_of_claims(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    status = doctor.tell(environ)
    findings = {found["part"]: found for found in json.loads(capsys.readouterr().out)}
    assert status == (0 if all(found["ok"] for found in findings.values()) else 1)
    found: dict[str, Any] = findings["claims"]
    return found


def test_a_bucket_that_honours_conditions_is_praised_and_left_as_it_was(
    environ: dict[str, str], bucket: str, s3_endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said_of_claims(environ, capsys)
    assert (found["ok"], found["detail"]) == (True, f"{bucket} honours conditional PUT")
    meddler = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=s3_endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    assert "Contents" not in meddler.list_objects_v2(Bucket=bucket)
    meddler.close()


def ignoring(store: FaultyStore, header: str) -> None:
    store.dropped = frozenset({header})


def refusing(store: FaultyStore, code: str) -> None:
    store.rule = lambda request: Refusal(403, code) if request.method == "PUT" else None


@pytest.mark.parametrize(
    ("spoil", "how", "said"),
    [
        (ignoring, "if-none-match", "ignores If-None-Match"),
        (ignoring, "if-match", "ignores If-Match"),
        (refusing, "AccessDenied", "cannot be used"),
    ],
)
def test_a_bucket_that_ignores_or_refuses_is_told(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], spoil: Any, how: str, said: str
) -> None:
    with faulty_store(environ["R2_ENDPOINT"]) as store:
        spoil(store, how)
        found = said_of_claims(environ | {"R2_ENDPOINT": store.url}, capsys)
    assert not found["ok"]
    assert said in found["detail"]


def test_settings_that_are_missing_are_named(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    del environ["WEBHOOK_SECRET"]
    found = said_of_claims(environ, capsys)
    assert (found["ok"], found["detail"]) == (
        False,
        "these settings are missing or wrong: WEBHOOK_SECRET",
    )


def test_it_tells_what_confines_ffmpeg(
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said(isolation: str) -> dict[str, Any]:
        doctor.tell(environ | {"R2_ENDPOINT": "", "ISOLATION": isolation})
        findings = {found["part"]: found for found in json.loads(capsys.readouterr().out)}
        found: dict[str, Any] = findings["isolation"]
        return found

    monkeypatch.setattr(sandbox, "working", lambda: (None, False, 0))
    assert not said("auto")["ok"]
    assert "set ISOLATION=optional" in said("auto")["detail"]
    open_to_all = said("optional")
    assert open_to_all["ok"]
    assert open_to_all["detail"].startswith("nothing confines ffmpeg: a hostile file may reach")
