"""Who is signed in; and, on one machine for trying out, signing in as anybody."""

from datetime import timedelta

from starlette.responses import Response

from api.auth import COOKIE, sign_token
from api.operations import Call, answer
from api.problems import ApiError
from api.schemas import SessionOut, SignInRequest

LIFE = timedelta(hours=12)


async def read_session(call: Call) -> Response:
    """Who is signed in."""
    caller = call.principal
    return answer(SessionOut(subject=caller.subject, roles=sorted(caller.roles)))


async def sign_in(call: Call) -> Response:
    """A session for whoever the caller says to be: the cookie `session`, for twelve hours."""
    assert isinstance(call.body, SignInRequest)  # noqa: S101 - the operation's body model
    settings = call.services.settings
    # A page of another site whose name was made to point here could ask, but not from our origin.
    if call.request.headers.get("origin", settings.public_app_url) != settings.public_app_url:
        raise ApiError(403, "foreign_origin", "This request does not come from our own pages.")
    if not settings.demo_sign_in or settings.jwt_secret is None:
        raise ApiError(403, "sign_in_off", "Nobody signs in here: DEMO_SIGN_IN is off.")
    wanted = call.body
    token = sign_token(settings, settings.jwt_secret, wanted.creator, wanted.roles, LIFE)
    response = answer(SessionOut(subject=wanted.creator, roles=sorted(set(wanted.roles))))
    response.set_cookie(
        COOKIE, token, max_age=int(LIFE.total_seconds()), httponly=True, samesite="lax"
    )
    return response


async def sign_out(call: Call) -> Response:
    """Forget the session cookie; 204, also where there was none."""
    response = Response(status_code=204)
    secure = call.services.settings.public_app_url.startswith("https:")
    response.delete_cookie(COOKIE, secure=secure, httponly=True, samesite="lax")
    return response
