"""What every command of payments does: say something, and ask the database for a moment."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import make_engine
from services.common.environment import ConfigError
from services.payments.config import Config
from services.payments.migrations import SCHEMA

out = Console()
T = TypeVar("T")


def as_owner(work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Do it as the database's owner. Raises ConfigError."""
    return _run(owner_url(), work)


def owner_url() -> str:
    """Of ONECARD_OWNER_DATABASE_URL. Raises ConfigError."""
    if not (url := os.environ.get("ONECARD_OWNER_DATABASE_URL")):
        raise ConfigError("ONECARD_OWNER_DATABASE_URL is not set; it must name the database's owner")
    return url


def with_engine(work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Do it in the application's role. Raises ConfigError."""
    return _run(Config.from_environment().database_url, work)


def _run(url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        engine = make_engine(url, SCHEMA.session("payments-operator"), sessions=2)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(run())
