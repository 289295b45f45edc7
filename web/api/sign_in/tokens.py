"""Tokens for programs: an access token of ten minutes, and a refresh token that is good for one use."""

import secrets
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from signalflow.clock import utcnow
from signalflow.storage.sessions import rotate_refresh_token, start_session
from web.access import accounts_of
from web.api.dependencies import PoolOf
from web.api.sign_in.credentials import Credentials, body_in, body_of, signed_in_user, wrong_credentials
from web.auth.tokens import ACCESS_LIFETIME, Claims
from web.limiter import SIGN_INS_PER_ADDRESS, address_of
from web.problems import documented
from web.services import services_of

SESSION_LIFETIME = timedelta(days=14)
REFRESH_MARK = "sfr_"

log = structlog.get_logger()
router = APIRouter(tags=["sign in"])
ERRORS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class Tokens(BaseModel):
    """What a program signs in with."""

    access: str = Field(description="Send it as `Authorization: Bearer`.")
    refresh: str = Field(
        description="Gives the next pair, once. Using it a second time voids all tokens of this sign-in."
    )
    token_type: str = Field("bearer", description="Always `bearer`.")
    expires_in: int = Field(int(ACCESS_LIFETIME.total_seconds()), description="Seconds for which `access` is valid.")


class RefreshToken(BaseModel):
    """A refresh token."""

    refresh: str = Field(min_length=1, max_length=128, description="`refresh` of the pair before.")


class AccessToken(BaseModel):
    """An access token."""

    token: str = Field(min_length=1, max_length=2048, description="The access token in question.")


class Verified(BaseModel):
    """Whom a valid access token stands for."""

    name: str = Field(description="Name of the user.")


@router.post(
    "/api/token/", summary="Sign in with name and password", responses=ERRORS, openapi_extra=body_in(Credentials)
)
async def sign_in(request: Request, response: Response, pool: PoolOf) -> Tokens:
    """JSON, or a form as OAuth's password grant sends it.

    After ten wrong passwords for a name within a minute, or thirty tries from an address, the rest of the minute is
    refused.
    """
    user = await signed_in_user(request, pool, await body_of(request, Credentials))
    refresh, now = _new_refresh_token(), utcnow()
    session = await start_session(pool, user, "token", now, now + SESSION_LIFETIME, refresh)
    if session is None:  # disabled, or got another password, between the two statements
        raise wrong_credentials()
    return _tokens(request, response, user.name, session, refresh)


@router.post(
    "/api/token/refresh/",
    summary="Exchange a refresh token for the next pair",
    responses=ERRORS,
    openapi_extra=body_in(RefreshToken),
)
async def refresh(request: Request, response: Response, pool: PoolOf) -> Tokens:
    """A refresh token is good for one use within 14 days of signing in. A second use means a copy: the sign-in ends."""
    given = await body_of(request, RefreshToken)
    following = _new_refresh_token()
    refreshed = await rotate_refresh_token(pool, given.refresh, following, utcnow())
    if refreshed is None or refreshed.used_at is not None:
        if refreshed is not None:
            accounts_of(request).identities.forget_session(refreshed.session)
            log.warning(
                "refresh_token_reused",
                user=refreshed.user,
                session=str(refreshed.session),
                issued_at=refreshed.issued_at.isoformat(),
                used_at=refreshed.used_at and refreshed.used_at.isoformat(),
            )
        # Nobody guesses 256 bits; the limit makes trying slow all the same.
        limiter = services_of(request).limiter
        await limiter.count(request, SIGN_INS_PER_ADDRESS, "sign-in", address_of(request.scope))
        raise _refused()
    return _tokens(request, response, refreshed.user, refreshed.session, following)


@router.post(
    "/api/token/verify/",
    summary="Whether an access token is valid",
    responses=ERRORS,
    openapi_extra=body_in(AccessToken),
)
async def verify(request: Request) -> Verified:
    """Answers 401 when the token has expired, another server issued it, or its session has ended.

    A token may stay valid for 5 s after its session ended.
    """
    accounts = accounts_of(request)
    given = await body_of(request, AccessToken)
    claims = accounts.signer.read("access", given.token, utcnow())
    identity = await accounts.identities.of_session(claims.session) if claims else None
    if identity is None:
        raise _refused()
    return Verified(name=identity.name)


def _tokens(request: Request, response: Response, user: str, session: UUID, refresh_token: str) -> Tokens:
    response.headers["Cache-Control"] = "no-store"
    access = accounts_of(request).signer.issue("access", Claims(user, session), utcnow(), ACCESS_LIFETIME)
    return Tokens(access=access, refresh=refresh_token)


def _new_refresh_token() -> str:
    return REFRESH_MARK + secrets.token_urlsafe(32)


def _refused() -> HTTPException:
    return HTTPException(
        401, "The token is not valid (any more): sign in again.", headers={"WWW-Authenticate": "Bearer"}
    )
