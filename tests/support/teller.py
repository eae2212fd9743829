"""The duty that tells people, in a process of its own, which ends itself when the gateway has taken so many messages.

`python -m tests.support.teller DATABASE VAULT GATEWAY MESSAGES`
"""

import asyncio
import os
import sys
from pathlib import Path
from signal import SIGKILL

from services.card.adapters.sealing import Sealing
from services.card.adapters.sms_gateway import SmsGateway
from services.card.handlers.notify import Notify
from services.common.database import make_engine
from services.common.keyvault.software import open_token
from tests.support.cardholders import city_settings
from tests.support.sealing import autocommit


class Deadly(SmsGateway):
    """Ends the process between sending and marking."""

    def __init__(self, address: str, messages: int) -> None:
        super().__init__(address, None)
        self._left = messages

    async def send(self, request_id: str, phone: str, text: str) -> None:
        await super().send(request_id, phone, text)
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), SIGKILL)


async def main(database_url: str, vault: str, gateway: str, messages: str) -> None:
    engine = make_engine(database_url, "teller", sessions=1)
    notify = Notify(
        Sealing(open_token(Path(vault), "pin of a test")), city_settings(), Deadly(gateway, int(messages))
    )  # fmt: skip
    async with autocommit(engine) as connection:
        await notify(connection)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
