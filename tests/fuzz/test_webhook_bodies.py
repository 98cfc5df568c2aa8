"""Bodies of webhooks: a report, or a refusal that names the field. Nothing else is raised."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.operations import parse
from api.problems import ApiError
from domain.events import MediaType
from gpu_worker.contract import Manifest, OutputLayout, Report
from gpu_worker.signature import SignatureRefused, sign, verify
from infra.output_gate import wrong_names
from infra.postgres.canonical_json import canonical_json
from tests.docs import ROOT
from tests.fuzz.shapes import damaged, few
from tests.infra.variables import WEBHOOK_SECRET

FOLDER = ROOT / "tests/gpu_worker/recorded"


def recorded(name: str) -> Any:
    """A message as a worker wrote it."""
    return json.loads((FOLDER / name).read_text("utf-8"))


REPORTS = [
    recorded(f"report_{kind}.v1.json") for kind in ("completed", "failed", "progress", "started")
]
MANIFEST = recorded("manifest.v2.json")
NOW_S = 1_790_000_000
bodies = st.binary() | st.sampled_from(REPORTS).flatmap(damaged).map(
    lambda found: json.dumps(found).encode()
)


@few
@given(bodies)
@example(b"[" * 100_000)
@example(b'{"jobId": "\\ud800"}')
def test_a_body_is_a_report_or_is_refused(body: bytes) -> None:
    try:
        report = parse(Report, body)
    except ApiError as refused:
        assert (refused.status, refused.code) == (422, "invalid_request")
        assert refused.extra["errors"]
        return
    # What is taken can be kept: it has a canonical text, and reads back as itself.
    canonical_json(report.model_dump(mode="json", by_alias=True))
    assert parse(Report, report.to_json().encode()) == report


@few
@given(bodies, st.sampled_from(("webhook-id", "webhook-timestamp", "webhook-signature")), st.text())
def test_a_signature_is_of_one_body_and_its_own_headers(body: bytes, name: str, text: str) -> None:
    headers = sign(WEBHOOK_SECRET, "msg_1", NOW_S, body)
    assert verify([WEBHOOK_SECRET], headers, body, NOW_S) == "msg_1"

    if text != headers[name] and text not in headers[name].split(" "):
        with pytest.raises(SignatureRefused):
            verify([WEBHOOK_SECRET], headers | {name: text}, body, NOW_S)
    with pytest.raises(SignatureRefused):
        verify([WEBHOOK_SECRET], headers, body + b" ", NOW_S)


@few
@given(damaged(MANIFEST))
def test_a_manifest_that_passes_names_this_items_objects_alone(document: Any) -> None:
    try:
        manifest = Manifest.model_validate_json(json.dumps(document))
    except ValueError:
        return
    media_id = UUID(MANIFEST["mediaId"])
    layout = OutputLayout("creator-1", media_id)

    if wrong_names(manifest, layout, media_id, MediaType.VIDEO) is None:
        own = (layout.prefix, layout.thumbnail, layout.waveform)
        assert all(each.key.startswith(own) for each in manifest.objects)
        assert all(each.playlist_key.startswith(layout.prefix) for each in manifest.renditions)
