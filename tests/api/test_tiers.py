"""A creator's tier: by a token's claim, of a closed set, for figures alone."""

import jwt
import pytest
from starlette.requests import Request

from api.auth import Authenticator
from infra.settings import SettingsInvalid, load
from tests.api.service import running
from tests.api.studio import VIDEO
from tests.api.test_auth import claims
from tests.infra.variables import ENVIRON

TIERS = {"CREATOR_TIERS": "pro studio"}


@pytest.mark.parametrize(
    ("claimed", "tier"),
    [
        ("pro", "pro"),
        ("standard", "standard"),
        (None, "standard"),
        ("gold", "standard"),
        (["pro"], "standard"),
        ({"a": 1}, "standard"),
    ],
)
async def test_a_tier_that_is_not_known_counts_as_standard(claimed: object, tier: str) -> None:
    settings = load(ENVIRON | TIERS)
    token = jwt.encode(claims(settings, tier=claimed), ENVIRON["JWT_SECRET"], algorithm="HS256")
    headers = [(b"authorization", f"Bearer {token}".encode())]
    request = Request({"type": "http", "method": "GET", "headers": headers})
    assert (await Authenticator(settings).principal(request)).tier == tier


async def test_the_tier_is_kept_beside_the_item_unless_it_is_the_standard_one(
    environ: dict[str, str],
) -> None:
    settings = load(environ | TIERS)
    async with running(settings) as service:
        for tier in ("pro", "gold"):
            token = jwt.encode(
                claims(settings, tier=tier), environ["JWT_SECRET"], algorithm="HS256"
            )
            headers = {"authorization": f"Bearer {token}"}
            answer = await service.http.post("/api/media", json=VIDEO.request(), headers=headers)
            assert answer.status_code == 201
        kept = await service.services.pool.fetch("SELECT tier FROM media_tiers")
        events = await service.services.pool.fetch("SELECT payload::text FROM events")
    assert [row["tier"] for row in kept] == ["pro"]
    assert "pro" not in str([row["payload"] for row in events])


@pytest.mark.parametrize("tiers", ["Pro", "a/b", "1st", " ".join(f"t{n}" for n in range(17))])
def test_names_of_tiers_are_few_and_plain(tiers: str) -> None:
    with pytest.raises(SettingsInvalid, match="CREATOR_TIERS"):
        load(ENVIRON | {"CREATOR_TIERS": tiers})
