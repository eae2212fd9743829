"""An empty bidirectional stream behind the same edge: for each message the next one of a card that was made once."""

from collections.abc import Set
from pathlib import Path
from typing import Any

import msgspec
import typer
import uvloop

from bench.programs.issue import Script
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceServicer, add_IssuanceServiceServicer_to_server
from services.common.garbage import collect_garbage_seldom
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal


class _EmptyStream(IssuanceServiceServicer):
    def __init__(self, said: list[messages.PersonaliseResponse]) -> None:
        self._said = said

    async def Personalise(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        """Reads one, writes one."""
        for message in self._said:
            await context.read()
            await context.write(message)


async def _work(script: Script, listen: Listen) -> None:
    async def nobody() -> Set[str]:
        return frozenset()

    server: Any = make_server(listen, RevocationList(nobody))
    said = [messages.PersonaliseResponse.FromString(message) for message in script.said]
    add_IssuanceServiceServicer_to_server(_EmptyStream(said), server)
    collect_garbage_seldom()
    await serve_until_signal(server)


def main(script: Path) -> None:
    """Serve until SIGTERM."""
    told = msgspec.msgpack.decode(script.read_bytes(), type=Script)
    uvloop.run(_work(told, Listen.from_environment()))


if __name__ == "__main__":
    typer.run(main)
