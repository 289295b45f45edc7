"""Whether this process answers."""

from importlib.metadata import version

from fastapi import APIRouter
from pydantic import BaseModel, Field

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """That the process answers; nothing else is asked, so that a database that is away restarts no API."""

    status: str = Field("ok", description="Always `ok`.")
    version: str = Field(version("signalflow"), description="Version of the program.")


@router.get("/health/", include_in_schema=False)
@router.get("/health", summary="Whether this process answers")
async def health() -> Health:
    return Health()
