"""What endpoints are given."""

from typing import Annotated

from fastapi import Depends, Request

from signalflow.settings import Settings
from signalflow.storage.pool import Pool


def _pool(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


PoolOf = Annotated[Pool, Depends(_pool)]
SettingsOf = Annotated[Settings, Depends(_settings)]
