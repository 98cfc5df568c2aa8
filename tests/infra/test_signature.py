"""Signed callbacks, with the `standardwebhooks` package as a second opinion both ways."""

import time
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from gpu_worker.signature import TOLERANCE_SECONDS, SignatureRefused, decode_secret, sign, verify
from tests.infra.variables import WEBHOOK_SECRET

OLDER = "whsec_" + b64encode(b"older-secret-of-32-bytes-in-all!").decode()
BODY = '{"jobId":"job-1-u1","status":"completed","text":"é🎬"}'.encode()
ID, NOW_S = "msg_1", 1_800_000_000
HEADERS = sign(WEBHOOK_SECRET, ID, NOW_S, BODY)

# What an HTTP server makes of header bytes: Latin-1.
header_text = st.text(st.characters(max_codepoint=255))
message_ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
# The package parses JSON from what it verified.
json_bodies = st.text().map(lambda text: f"[{len(text)}]".encode())


@given(message_ids, json_bodies)
def test_package_accepts_what_we_sign(message_id: str, body: bytes) -> None:
    headers = sign(WEBHOOK_SECRET, message_id, int(time.time()), body)
    Webhook(WEBHOOK_SECRET).verify(body.decode(), headers)


@given(message_ids, json_bodies)
def test_we_accept_what_the_package_signs(message_id: str, body: bytes) -> None:
    moment = datetime.fromtimestamp(NOW_S, UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": Webhook(WEBHOOK_SECRET).sign(message_id, moment, body.decode()),
    }
    assert headers == sign(WEBHOOK_SECRET, message_id, NOW_S, body)
    assert verify([WEBHOOK_SECRET], headers, body, NOW_S) == message_id


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_both_refuse_a_missing_header(part: str) -> None:
    fresh = sign(WEBHOOK_SECRET, ID, int(time.time()), BODY)
    del fresh[part]
    with pytest.raises(SignatureRefused):
        verify([WEBHOOK_SECRET], fresh, BODY, time.time())
    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(BODY.decode(), fresh)


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_any_changed_byte_of_the_body_is_refused(place: int, flip: int) -> None:
    changed = bytearray(BODY)
    changed[place] ^= flip
    with pytest.raises(SignatureRefused, match="no signature fits"):
        verify([WEBHOOK_SECRET], HEADERS, bytes(changed), NOW_S)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(NOW_S + 1)},
        {"webhook-signature": HEADERS["webhook-signature"].replace("v1,", "v1a,")},
        {"webhook-signature": HEADERS["webhook-signature"].replace("v1,", "")},
        {"webhook-signature": HEADERS["webhook-signature"][:-1]},
        {"webhook-signature": "v1,"},
    ],
    ids=str,
)
def test_changed_header_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureRefused):
        verify([WEBHOOK_SECRET], HEADERS | changed, BODY, NOW_S)


def test_one_fitting_signature_among_several_is_enough() -> None:
    other = sign(OLDER, ID, NOW_S, BODY)["webhook-signature"]
    several = f"v1a,abc {other} {HEADERS['webhook-signature']} v2,x"
    assert verify([WEBHOOK_SECRET], HEADERS | {"webhook-signature": several}, BODY, NOW_S) == ID


def test_f39_secret_is_rotated_without_losing_what_the_older_signed() -> None:
    older = sign(OLDER, ID, NOW_S, BODY)
    assert verify([WEBHOOK_SECRET, OLDER], older, BODY, NOW_S) == ID
    assert verify([WEBHOOK_SECRET, OLDER], HEADERS, BODY, NOW_S) == ID
    for secrets in ([WEBHOOK_SECRET], []):
        with pytest.raises(SignatureRefused, match="no signature fits"):
            verify(secrets, older, BODY, NOW_S)


@pytest.mark.parametrize("side", [-1, 1], ids=["late", "early"])
def test_f30_clock_may_differ_by_five_minutes_either_way(side: int) -> None:
    assert TOLERANCE_SECONDS == 300
    edge_s = NOW_S + side * TOLERANCE_SECONDS
    assert verify([WEBHOOK_SECRET], HEADERS, BODY, edge_s) == ID
    with pytest.raises(SignatureRefused, match="five minutes"):
        verify([WEBHOOK_SECRET], HEADERS, BODY, edge_s + side)


MALFORMED_TIMES = ("", " ", "now", "nan", "inf", "-1", "1e9", "0x10", f"{NOW_S}.0", "9" * 5000)
LENIENTLY_READ_TIMES = (
    *("9" * 400, "1_800_000_000", "١٨٠٠٠٠٠٠٠٠", f"+{NOW_S}", f" {NOW_S}", f"0{NOW_S}"),
)


@pytest.mark.parametrize(
    "text",
    [*MALFORMED_TIMES, *LENIENTLY_READ_TIMES],
    ids=lambda text: text[:20],
)
def test_malformed_timestamp_is_refused(text: str) -> None:
    with pytest.raises(SignatureRefused):
        verify([WEBHOOK_SECRET], HEADERS | {"webhook-timestamp": text}, BODY, NOW_S + 0.5)


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "webhook-id": header_text | st.text(st.characters(categories=["Cs", "L"])),
            "webhook-timestamp": header_text | st.integers().map(str) | st.just(str(NOW_S)),
            "webhook-signature": header_text | header_text.map(lambda text: f"v1,{text}"),
        },
    ),
    st.binary(),
)
def test_malformed_headers_raise_nothing_but_a_refusal(
    headers: dict[str, str], body: bytes
) -> None:
    with pytest.raises(SignatureRefused):
        verify([WEBHOOK_SECRET, OLDER], headers, body, NOW_S + 0.5)


def test_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(SignatureRefused):
        verify([WEBHOOK_SECRET], HEADERS | {"webhook-id": "\ud800"}, BODY, NOW_S)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_é",
        "whsec_####",
        WEBHOOK_SECRET.removeprefix("whsec_"),
        "whsec_c2hvcnQ=",
    ],
)
def test_weak_or_malformed_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"whsec_|ASCII"):
        decode_secret(secret)
