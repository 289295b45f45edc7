"""Signing in with a browser: a cookie that no script can read, and a token that pages send with their writes."""

from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from signalflow.clock import utcnow
from signalflow.domain.words import Role
from signalflow.storage.pool import Pool
from signalflow.storage.sessions import ProvenUser, end_session, start_session, use_link
from web.access import Principal, Reader, SignedIn, accounts_of, is_same_origin
from web.api.dependencies import PoolOf
from web.api.sign_in.credentials import Credentials, body_in, body_of, is_form, signed_in_user, wrong_credentials
from web.auth.paths import MOST_CHARACTERS, SIGN_IN, SIGN_IN_LINK, own_path, sign_in_path
from web.auth.tokens import BROWSER_LIFETIME, Claims
from web.problems import documented

NO_STORE = {"Cache-Control": "no-store"}
_PAGE = Template((Path(__file__).parent / "sign_in.html").read_text(encoding="utf-8"))
Why = Literal["password", "link", "busy"]
_NOTICES: dict[Why | None, str] = {
    None: "",
    "password": '<p role="alert">There is no such user with that password.</p>',
    "link": '<p role="alert">That link was used before, or has expired. '
    "<code>signalflow user link NAME</code> makes a new one.</p>",
    "busy": '<p role="alert">Too many tries; wait a minute.</p>',
}

router = APIRouter(tags=["sign in"])
own = APIRouter(tags=["sign in"])
"""Endpoints for users who have signed in."""


class Session(BaseModel):
    """Who is signed in."""

    name: str = Field(description="Name of the user.")
    role: Role = Field(
        description="reader reads; operator also replays letters and changes subreddits and alerts; admin also sees "
        "the audit log."
    )
    kind: Literal["user", "key", "session"] = Field(description="By access token, API key or cookie.")
    csrf_token: str | None = Field(description="Send it as X-CSRF-Token with every write; null without a cookie.")


@router.get(SIGN_IN, include_in_schema=False)
async def sign_in_page(
    following: Annotated[str, Query(alias="next", max_length=MOST_CHARACTERS)] = "/", why: Why | None = None
) -> HTMLResponse:
    """A form that needs no script."""
    query = urlencode({"next": own_path(following)})
    return HTMLResponse(_PAGE.substitute(notice=_NOTICES[why], query=query), headers=NO_STORE)


@router.get(SIGN_IN_LINK, include_in_schema=False)
async def follow_link(
    request: Request,
    pool: PoolOf,
    token: Annotated[str, Query(max_length=128)] = "",
    following: Annotated[str, Query(alias="next", max_length=MOST_CHARACTERS)] = "/",
) -> RedirectResponse:
    """Sign the browser in, once, and redirect to an address without the token."""
    user = await use_link(pool, token, utcnow())
    if user is None:
        return _redirect(sign_in_path(following, "link"))
    answer = _redirect(own_path(following))
    if await _start(request, answer, pool, user) is None:
        return _redirect(sign_in_path(following, "link"))
    return answer


@router.post(
    "/api/session/",
    summary="Sign a browser in",
    response_model=Session,
    responses=documented(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    | {303: {"description": "For a form: to `next`, or back to the sign-in page."}},
    openapi_extra=body_in(Credentials),
)
async def sign_in(
    request: Request,
    response: Response,
    pool: PoolOf,
    following: Annotated[
        str, Query(alias="next", max_length=MOST_CHARACTERS, description="For a form: the path to go to then.")
    ] = "/",
) -> Session | RedirectResponse:
    """Sets the cookie. JSON is answered with the session, a form with a redirect."""
    if "origin" in request.headers and not is_same_origin(request):
        raise HTTPException(403, "Another site's page may not sign anybody in here.")
    given = await body_of(request, Credentials)
    if not is_form(request):
        principal = await _start(request, response, pool, await signed_in_user(request, pool, given))
        if principal is None:  # disabled, or got another password, between the two statements
            raise wrong_credentials()
        return _session(request, response, principal)
    try:
        user = await signed_in_user(request, pool, given)
    except HTTPException as error:
        return _redirect(sign_in_path(following, "password" if error.status_code == 401 else "busy"))
    answer = _redirect(own_path(following))
    signed_in = await _start(request, answer, pool, user)
    return answer if signed_in else _redirect(sign_in_path(following, "password"))


@own.get("/api/session/", summary="Who is signed in")
async def who_am_i(request: Request, response: Response, principal: Reader) -> Session:
    return _session(request, response, principal)


@own.delete("/api/session/", summary="Sign out", status_code=204)
async def sign_out(request: Request, response: Response, pool: PoolOf, principal: SignedIn) -> None:
    """Ends the session, or all tokens of the sign-in. Other API processes know within 5 s. An API key stays valid."""
    if principal.session is not None:
        await end_session(pool, principal.session, "signed_out", utcnow())
        accounts_of(request).identities.forget_session(principal.session)
    response.delete_cookie(accounts_of(request).cookie_name, path="/")


async def _start(request: Request, response: Response, pool: Pool, user: ProvenUser) -> Principal | None:
    """A session, with its cookie on the response. None when the user was disabled or got another password meanwhile."""
    accounts, now = accounts_of(request), utcnow()
    session = await start_session(pool, user, "browser", now, now + BROWSER_LIFETIME)
    identity = await accounts.identities.of_session(session) if session else None
    if session is None or identity is None:
        return None
    response.set_cookie(
        accounts.cookie_name,
        accounts.signer.issue("browser", Claims(user.name, session), now, BROWSER_LIFETIME),
        max_age=int(BROWSER_LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        # Not strict, so that a link from a colleague opens signed in. Writes need the CSRF token as well.
        samesite="lax",
    )
    return Principal(identity.name, identity.role, "session", session=session)


def _session(request: Request, response: Response, principal: Principal) -> Session:
    response.headers["Cache-Control"] = "no-store"
    with_cookie = principal.kind == "session" and principal.session is not None
    csrf_token = (
        accounts_of(request).signer.csrf_token(principal.session) if with_cookie and principal.session else None
    )
    return Session(name=principal.name, role=principal.role, kind=principal.kind, csrf_token=csrf_token)


def _redirect(path: str) -> RedirectResponse:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=NO_STORE)
