"""Who gets what of every operation: the table in docs/access.md, which the matrix test reads.

The table is made from the route table and from `CASES`, which says how each operation is tried. An
operation without a case fails here, and so do the documents and the matrix.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from api.auth import SAFE_METHODS, Role
from api.operations import Operation
from api.routes import OPERATIONS


class Who(StrEnum):
    """Who calls."""

    NOBODY = "nobody"
    EXPIRED = "the owner, with an expired token"
    WRONG_AUDIENCE = "the owner, with a token for another audience"
    OWNER = "the owner"
    OTHER = "another creator"
    AUDITOR = "an auditor"
    ADMIN = "an admin"


class Which(StrEnum):
    """Which id the path, or the body, names."""

    OWNERS = "the owner's item"
    FOREIGN = "a third creator's item"
    MISSING = "an id of no item"
    MALFORMED = "what is no id"


class By(StrEnum):
    """How the token travels."""

    BEARER = "bearer"
    COOKIE = "cookie, from our own pages"
    BARE_COOKIE = "cookie, without Origin"


class State(StrEnum):
    """What an item must be for a call to succeed."""

    UPLOADING = "uploading"
    SENT = "sent"
    READY = "ready"
    FAILED = "failed"


class Case(NamedTuple):
    """One way to call an operation, and what comes of it when nothing stands against it."""

    success: str
    state: State | None = None
    """None: the call names no item."""
    query: str = ""
    theirs: frozenset[Role] = frozenset()
    """Roles that may have anybody's item."""


READS_ALL = frozenset({Role.AUDITOR, Role.ADMIN})
CASES: dict[str, tuple[Case, ...]] = {
    "read_session": (Case("200"),),
    "sign_in": (Case("405 method_not_allowed"),),
    "sign_out": (Case("204"),),
    "register_media": (Case("201"),),
    "list_media": (Case("200"),),
    "read_media": (
        Case("200", State.UPLOADING),
        Case("200", State.UPLOADING, "?version=1", theirs=READS_ALL),
    ),
    "erase_media": (Case("202", State.UPLOADING, theirs=frozenset({Role.ADMIN})),),
    "renew_upload": (Case("200", State.UPLOADING),),
    "abandon_upload": (Case("200", State.UPLOADING),),
    "complete_upload": (Case("202", State.SENT),),
    "read_history": (Case("200", State.UPLOADING, theirs=READS_ALL),),
    "read_playback": (Case("200", State.READY),),
    "play": (Case("403 access_denied"),),
    "read_status": (Case("200", State.UPLOADING),),
    "read_stream": (Case("200"),),
    "retry_transcoding": (Case("202", State.FAILED),),
    "worker_webhook": (Case("401 unauthenticated"),),
    "runpod_webhook": (Case("401 unauthenticated"),),
    "read_ledger": (Case("200"),),
    "read_checkpoint": (Case("200"),),
    "read_evidence": (Case("404 no_evidence"),),
    "read_bundle": (Case("200"),),
    "livez": (Case("200"),),
    "readyz": (Case("200"),),
    "read_metrics": (Case("200"),),
    "read_openapi": (Case("200"),),
}
"""By the operation's name. A token in a path is tried as one that nobody signed."""

HEAD = (
    "call",
    "no valid token",
    "creator, own item",
    "creator, any other id",
    "auditor, an item",
    "auditor, no item",
    "admin, an item",
    "admin, no item",
    "cookie without our Origin",
)
NONE = "-"
DENIED = "403 access_denied"


def rows() -> Iterator[tuple[Operation, Case]]:
    """Every way in which every operation is tried."""
    for operation in OPERATIONS:
        for case in CASES[operation.endpoint.__name__]:
            yield operation, case


def name(operation: Operation, case: Case) -> str:
    """The row's call."""
    return f"{operation.method} {operation.path.replace(':path}', '}')}{case.query}"


def column(operation: Operation, case: Case, who: Who, which: Which, by: By) -> str:
    """Where the table says what such a call is answered with."""
    if by is By.BARE_COOKIE and who is not Who.NOBODY and _looks_at_origin(operation):
        return "cookie without our Origin"
    if who in {Who.NOBODY, Who.EXPIRED, Who.WRONG_AUDIENCE}:
        return "no valid token"
    if who in {Who.AUDITOR, Who.ADMIN}:
        there = case.state is None or which in {Which.OWNERS, Which.FOREIGN}
        return f"{'auditor' if who is Who.AUDITOR else 'admin'}, {'an' if there else 'no'} item"
    own = case.state is None or (who is Who.OWNER and which is Which.OWNERS)
    return "creator, own item" if own else "creator, any other id"


def table() -> Iterator[tuple[str, ...]]:
    """The lines of docs/access.md."""
    for operation, case in rows():
        cells = (f"`{each}`" if each != NONE else each for each in _cells(operation, case))
        yield f"`{name(operation, case)}`", *cells


def _cells(operation: Operation, case: Case) -> Iterator[str]:
    yield "401 unauthenticated" if operation.roles else case.success
    yield _for(operation, case, Role.CREATOR, case.success)
    yield _for(operation, case, Role.CREATOR, DENIED) if case.state else NONE
    for role in (Role.AUDITOR, Role.ADMIN):
        theirs = case.success if case.state is None or role in case.theirs else DENIED
        yield _for(operation, case, role, theirs)
        yield _for(operation, case, role, DENIED) if case.state else NONE
    yield "403 foreign_origin" if _looks_at_origin(operation) else NONE


def _looks_at_origin(operation: Operation) -> bool:
    guarded = bool(operation.roles) or (operation.changes_session and not operation.demo)
    return guarded and operation.method not in SAFE_METHODS


def _for(operation: Operation, case: Case, role: Role, otherwise: str) -> str:
    if not operation.roles:
        return case.success
    return otherwise if role in operation.roles else "403 role_required"


def documented(text: str) -> Callable[[str, str], str]:
    """What the lines of docs/access.md say of a call and a column; fails where they say nothing."""
    cells = {
        line[0]: dict(zip(HEAD, line, strict=True))
        for line in (
            [cell.strip().strip("`") for cell in row.strip("|").split(" | ")]
            for row in text.splitlines()[2:]
        )
    }
    return lambda call, where: cells[call][where]
