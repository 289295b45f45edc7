"""Who asks, and whether they may: the dependencies of endpoints, and the check of sockets.

Every router is included with `within(scope)` (web/app.py), so that none is open by accident. An endpoint that needs a
higher role than reader takes `Operator` or `Admin` as well.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Depends as Dependency
from fastapi.responses import RedirectResponse
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from signalflow.bearer import carries
from signalflow.clock import utcnow
from signalflow.domain.words import KeyScope, Role
from signalflow.errors import Retryable
from signalflow.storage.api_keys import KEY_MARK, key_prefix
from web.auth.accounts import Accounts
from web.auth.paths import sign_in_path
from web.auth.tokens import Kind
from web.services import services_of

RANKS: dict[Role, int] = {"reader": 0, "operator": 1, "admin": 2}
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A browser cannot set headers on a socket, but it can offer subprotocols. One of them may carry the token.
SUBPROTOCOL = "signalflow"
SUBPROTOCOL_TOKEN = "signalflow.bearer."  # noqa: S105 (the mark before a token)


class _Bearer(SecurityBase):
    """How to sign in, for the OpenAPI document; what is sent is read by `principal_of`."""

    scheme_name = "bearer"
    model = HTTPBearer(description="An access token (POST /api/token/), or an API key.")

    # A coroutine, because FastAPI would run a plain function in a thread, at each request.
    async def __call__(self) -> None:
        return None


_InDocument = Annotated[None, Depends(_Bearer())]


@dataclass(frozen=True)
class Principal:
    """Who asks. `name` is the name of the user, also behind an API key.

    `key` is the prefix of the key, and `scopes` what it was made for; both are None without a key.
    """

    name: str
    role: Role
    kind: Literal["user", "key", "session"]
    scopes: frozenset[KeyScope] | None = None
    session: UUID | None = None
    key: str | None = None
    verified: bool = True
    """False while the database is away: the signature is right, but the session may have ended.

    Enough for reading only.
    """


async def principal_of(connection: HTTPConnection) -> Principal | None:
    """Who asks, by `Authorization: Bearer` (access token or API key) or else by the cookie; None for nobody.

    Raises Retryable for an API key that cannot be looked up while the database is away.
    """
    accounts = accounts_of(connection)
    authorization = connection.headers.get("authorization")
    if authorization is not None:
        scheme, _, credentials = authorization.partition(" ")
        return await _bearer(accounts, credentials.strip()) if scheme.lower() == "bearer" else None
    cookie = connection.cookies.get(accounts.cookie_name)
    return await _signed(accounts, "browser", cookie) if cookie else None


async def principal_of_socket(websocket: HTTPConnection) -> Principal | None:
    """Who opens a socket, by header, cookie or subprotocol.

    None for nobody, and for an API key without the scope `read`.

    The subprotocols are `signalflow, signalflow.bearer.<token>`; accept the socket with SUBPROTOCOL. With a cookie the
    Origin must be our own address, because scripts of other sites may open sockets with our cookies. Raises Retryable
    as `principal_of` does.
    """
    token = next(
        (
            offered.removeprefix(SUBPROTOCOL_TOKEN)
            for offered in websocket.scope.get("subprotocols", ())
            if offered.startswith(SUBPROTOCOL_TOKEN)
        ),
        None,
    )
    if token is not None and "authorization" not in websocket.headers:
        principal = await _bearer(accounts_of(websocket), token)
    else:
        principal = await principal_of(websocket)
    if principal is None or not is_within(principal, "read"):
        return None
    return principal if principal.kind != "session" or is_same_origin(websocket) else None


def accounts_of(connection: HTTPConnection) -> Accounts:
    """The accounts of the application that the connection came to."""
    return services_of(connection).accounts


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether a page of this address asks. A browser always sends the Origin with a write and with a new socket."""
    try:
        origin = urlsplit(connection.headers.get("origin", "")).netloc
    except ValueError:  # no browser sends this, such as `http://[`
        return False
    return origin == connection.headers.get("host")


def is_opened_by_browser(connection: HTTPConnection) -> bool:
    """Whether a person opens a page; scripts of pages ask for other types."""
    headers = connection.headers
    wants_page = "text/html" in headers.get("accept", "") and "authorization" not in headers
    return _method(connection) == "GET" and wants_page


def is_within(principal: Principal, scope: KeyScope) -> bool:
    """Whether a key was made for this. Scopes limit keys only, not users who sign in."""
    return principal.scopes is None or scope in principal.scopes


async def _bearer(accounts: Accounts, credentials: str) -> Principal | None:
    if not credentials.startswith(KEY_MARK):
        return await _signed(accounts, "access", credentials)
    identity = await accounts.identities.of_key(credentials)
    if identity is None:
        return None
    return Principal(identity.name, identity.role, "key", scopes=identity.scopes, key=key_prefix(credentials))


async def _signed(accounts: Accounts, kind: Kind, token: str) -> Principal | None:
    claims = accounts.signer.read(kind, token, utcnow())
    if claims is None:
        return None
    sort: Literal["user", "session"] = "user" if kind == "access" else "session"
    try:
        identity = await accounts.identities.of_session(claims.session)
    except Retryable:
        # The live stream goes on while the database is away, for users who have signed in.
        return Principal(claims.user, "reader", sort, session=claims.session, verified=False)
    return Principal(identity.name, identity.role, sort, session=claims.session) if identity else None


class SignInNeeded(Exception):
    """A browser that has not signed in opened an address that needs it."""


async def redirect_to_sign_in(request: Request, _: Exception) -> RedirectResponse:
    """Redirect to the sign-in page, which leads back to this address."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(sign_in_path(asked), 303, headers={"Cache-Control": "no-store"})


async def _signed_in(connection: HTTPConnection, _: _InDocument) -> Principal:
    """Raises 401 for nobody, 403 for a write with a cookie but without the CSRF token, 429 above the rate."""
    is_socket = connection.scope["type"] == "websocket"
    principal = await (principal_of_socket if is_socket else principal_of)(connection)
    if principal is None:
        if is_opened_by_browser(connection):
            raise SignInNeeded
        raise HTTPException(
            401,
            "Sign in: send `Authorization: Bearer` with an access token (POST /api/token/) or an API key.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    counted = ("key", principal.key) if principal.key else ("user", principal.name)
    limiter = services_of(connection).limiter
    await limiter.count(connection, limiter.per_user, *counted)
    if principal.kind == "session" and not is_socket and _method(connection) not in SAFE_METHODS:
        assert principal.session is not None
        given = connection.headers.get(CSRF_HEADER, "")
        if not accounts_of(connection).signer.is_csrf_token(principal.session, given):
            raise HTTPException(
                403, f"A write with a cookie needs the header {CSRF_HEADER}: GET /api/session/ gives it."
            )
    return principal


def _method(connection: HTTPConnection) -> str:
    return str(connection.scope.get("method", "GET"))


def _with_role(role: Role) -> Callable[[Principal], Awaitable[Principal]]:
    async def has_role(principal: SignedIn) -> Principal:
        if RANKS[role] > RANKS["reader"] and not principal.verified:
            raise Retryable("whether the user still has this role cannot be looked up")
        if RANKS[principal.role] < RANKS[role]:
            raise HTTPException(403, f"This needs the role {role}; {principal.name} is {principal.role}.")
        return principal

    return has_role


def within(scope: KeyScope) -> Dependency:
    """Access to a router for everybody who has signed in.

    A key needs the scope; `read` is enough to read, except in `admin`.
    """

    async def is_allowed(connection: HTTPConnection, principal: SignedIn) -> None:
        _check_scope(connection, principal, scope)

    return Dependency(is_allowed)


async def scraping(connection: HTTPConnection, in_document: _InDocument) -> None:
    """Access for Prometheus, by the token that opens workers to it, and for everybody who may read.

    The token is no account, so it neither expires nor needs the database.
    """
    token = services_of(connection).settings.worker_token
    if not carries(connection.headers.get("authorization", ""), token):
        _check_scope(connection, await _signed_in(connection, in_document), "read")


def _check_scope(connection: HTTPConnection, principal: Principal, scope: KeyScope) -> None:
    reads = _method(connection) in SAFE_METHODS and scope != "admin"
    if not is_within(principal, scope) and not (reads and is_within(principal, "read")):
        raise HTTPException(403, f"This API key has no scope {scope}.")


SignedIn = Annotated[Principal, Depends(_signed_in)]
Reader = Annotated[Principal, Depends(_with_role("reader"))]
Operator = Annotated[Principal, Depends(_with_role("operator"))]
Admin = Annotated[Principal, Depends(_with_role("admin"))]
