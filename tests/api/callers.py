"""Everybody who may call, with their tokens, and the items they may name."""

import dataclasses
from datetime import timedelta
from uuid import UUID, uuid4

import httpx

from api.auth import Role, sign_token
from api.operations import Operation
from infra.settings import Settings
from tests.access import By, Case, State, Which, Who
from tests.api.studio import VIDEO, Studio

UNSIGNED = "play.unsigned"
"""A token for a path, which nobody signed."""


@dataclasses.dataclass(frozen=True)
class Callers:
    """Three creators, of whom the first owns what is asked for; and one who sees all."""

    owner: Studio
    other: Studio
    third: Studio

    @property
    def settings(self) -> Settings:
        """Of the service that is called."""
        return self.owner.service.settings

    def credentials(self, who: Who, by: By) -> dict[str, str]:
        """The headers that say who calls."""
        if who is Who.NOBODY:
            return {}
        token = self._token(who)
        if by is By.BEARER:
            return {"authorization": f"Bearer {token}"}
        cookie = {"cookie": f"session={token}"}
        ours = {"origin": self.settings.public_app_url}
        return cookie | ours if by is By.COOKIE else cookie

    def _token(self, who: Who) -> str:
        secret = self.settings.jwt_secret
        assert secret is not None
        subject, role = {
            Who.OTHER: (self.other.creator, Role.CREATOR),
            Who.AUDITOR: ("eve", Role.AUDITOR),
            Who.ADMIN: ("root", Role.ADMIN),
        }.get(who, (self.owner.creator, Role.CREATOR))
        life = timedelta(minutes=-1 if who is Who.EXPIRED else 5)
        settings = self.settings
        if who is Who.WRONG_AUDIENCE:
            settings = settings.model_copy(update={"jwt_audience": "elsewhere"})
        return sign_token(settings, secret, subject, [role], life)

    async def call(
        self, operation: Operation, case: Case, named: str, headers: dict[str, str], method: str
    ) -> httpx.Response:
        """The operation on the item that is named so."""
        path = operation.path.replace("{media_id}", named).replace("{token}", UNSIGNED)
        path = path.replace("{sha256}", "0" * 64)
        path = path.replace("{path:path}", "master.m3u8") + case.query
        bodies = {
            "RetryRequest": {"mediaId": named},
            "RegisterRequest": VIDEO.request(),
            "SignInRequest": {"creator": "anybody"},
        }
        body = bodies[operation.body.__name__] if operation.body else None
        http = self.owner.service.http
        return await http.request(method, path, json=body, headers=headers)


class Items:
    """The owner's and the third creator's items in each state; anew where a call changes one."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._kept: dict[tuple[Which, State], UUID] = {}

    async def named(self, which: Which, state: State | None, *, anew: bool) -> str:
        """What a call names."""
        if state is None or which is Which.MISSING:
            return str(uuid4())
        if which is Which.MALFORMED:
            return "no-uuid"
        if which is Which.FOREIGN:  # Who may have it does not depend on its state.
            state = State.UPLOADING
        if anew or (which, state) not in self._kept:
            self._kept[which, state] = await self._made(which, state)
        return str(self._kept[which, state])

    async def _made(self, which: Which, state: State) -> UUID:
        studio = self._callers.owner if which is Which.OWNERS else self._callers.third
        if state is State.UPLOADING:
            return (await studio.register()).media.id
        if state is State.SENT:
            return await studio.uploaded()
        job = await (studio.ready() if state is State.READY else studio.failed())
        return job.media_id
