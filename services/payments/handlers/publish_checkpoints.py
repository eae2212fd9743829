"""Publish the newest seal where the database's owner cannot reach: a topic, and a file."""

import asyncio
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.common import topics
from services.common.announce import Announcer
from services.payments.adapters.checkpoints import append_checkpoint, checkpoint_message
from services.payments.adapters.seals import newest_seal

_KEY: Final = b"checkpoint"
"""One key, so that one partition holds them in order."""


class PublishCheckpoints:
    """A process that has just been elected publishes the newest seal at once, whether another one did so before or not."""

    def __init__(self, announcer: Announcer, file: Path | None) -> None:
        self._announcer = announcer
        self._file = file
        self._published = 0

    async def __call__(self, connection: AsyncConnection) -> None:
        """One round; with many seals a second the last one stands for those before it."""
        seal = await newest_seal(connection)
        if seal.number == self._published:
            return
        if self._file is not None:
            await asyncio.to_thread(append_checkpoint, self._file, seal)
        await self._announcer.send(topics.SEALS, [(_KEY, checkpoint_message(seal))])
        self._published = seal.number
