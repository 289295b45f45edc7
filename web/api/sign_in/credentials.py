"""Names and passwords as they are sent, and whether they are right."""

from typing import TypeVar
from urllib.parse import parse_qsl

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from signalflow.storage import accounts as users
from signalflow.storage.pool import Pool
from signalflow.storage.sessions import ProvenUser
from web.access import accounts_of
from web.auth.passwords import MAX_CHARACTERS, Busy
from web.limiter import FAILURES_PER_NAME, SIGN_INS_PER_ADDRESS, address_of, enforce
from web.problems import RETRY_LATER
from web.services import services_of

FORM = "application/x-www-form-urlencoded"
B = TypeVar("B", bound=BaseModel)

log = structlog.get_logger()


class Credentials(BaseModel):
    """Who signs in."""

    username: str = Field(min_length=1, max_length=64, description="Name of the user.", examples=["ada"])
    password: str = Field(min_length=1, max_length=MAX_CHARACTERS, description="The user's password.")


def is_form(request: Request) -> bool:
    """Whether the body was sent by a form (or curl) rather than as JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


async def body_of(request: Request, model: type[B]) -> B:
    """The body, as JSON or as a form.

    Raises RequestValidationError that names what is wrong and shows nothing of the body, and 400 for a client that
    disconnected before it had sent all of it.
    """
    try:
        raw = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "The connection ended before the body did.") from None
    try:
        if is_form(request):
            return model.model_validate(dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=20)))
        return model.model_validate_json(raw)
    except ValidationError as error:
        faults = [
            {"loc": ("body", *fault["loc"]), "msg": fault["msg"], "type": fault["type"]}
            for fault in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise RequestValidationError(faults) from None
    except ValueError:
        raise RequestValidationError([{"loc": ("body", "body"), "msg": "is no form", "type": "value_error"}]) from None


def body_in(model: type[BaseModel]) -> dict[str, object]:
    """The `openapi_extra` of an endpoint that takes `body_of` this model."""
    schema = model.model_json_schema()
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}, FORM: {"schema": schema}},
        }
    }


async def signed_in_user(request: Request, pool: Pool, given: Credentials) -> ProvenUser:
    """The user whose name and password these are. Raises 401, the same for everything that is wrong, 429 and 503.

    The same work is done for an unknown user, a disabled user, a user without a password and a wrong password: one
    hash.
    """
    address = address_of(request.scope)
    limiter = services_of(request).limiter
    await limiter.count(request, SIGN_INS_PER_ADDRESS, "sign-in", address)
    name = given.username.strip().lower()
    left = await limiter.look(FAILURES_PER_NAME, "failure", name)
    if not left.allowed:
        enforce(request, left)
    try:
        verified = await _verified_hash(request, pool, name, given.password)
    except Busy:
        raise HTTPException(
            503, "Too many sign in at this moment; try again in some seconds.", headers=RETRY_LATER
        ) from None
    if verified is None:
        await limiter.hit(FAILURES_PER_NAME, "failure", name)
        # The name is not logged, because users type their password into the wrong field.
        log.warning("sign_in_refused", address=address)
        raise wrong_credentials()
    return ProvenUser(name, verified)


def wrong_credentials() -> HTTPException:
    """The one answer to all that can be wrong with a name and a password."""
    return HTTPException(401, "There is no such user with that password.", headers={"WWW-Authenticate": "Bearer"})


async def _verified_hash(request: Request, pool: Pool, name: str, password: str) -> str | None:
    """The stored hash that the password has; None when it has another, or the user may not sign in. Raises Busy."""
    # The second time is for a hash that another sign-in, or a new password, stored while the first was verified.
    for _ in range(2):
        stored, may_sign_in = await users.credentials(pool, name)
        right, renewed = await accounts_of(request).passwords.verify(password, stored)
        if not (right and may_sign_in and stored):
            return None
        if renewed is None:
            return stored
        if await users.renew_password_hash(pool, name, stored, renewed):
            return renewed
    return None
