"""Verifies transaction codes, one after the other, as a worker's `decode` does it, and tells what that took."""

import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
import uvloop

from bench.programs.posting import config, make_verifier
from bench.signing import keys_from_environment
from bench.taps import taps
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.payments.adapters.registry import Registry
from services.payments.domain.tap import Terminal

_ROUNDS: Final = 5


class Verified(msgspec.Struct, frozen=True):
    """The best of a few rounds: whatever else the machine did is not the verifier's."""

    codes: int
    cpu_seconds: float

    @property
    def per_core_second(self) -> float:
        """Codes that one core verifies in a second."""
        return self.codes / self.cpu_seconds


async def _work(count: int) -> Verified:
    engine = make_engine(config().database_url, "verify", sessions=1)
    registry, verifier = Registry(engine), make_verifier(engine)
    await registry.refresh()
    await verifier.refresh_if_due()
    await engine.dispose()
    asked: list[tuple[Terminal, int, bytes, bytes]] = []
    for load in taps(1, count, 1, keys_from_environment()):
        signed = SignedTransaction.FromString(load.value)
        body = TransactionBody.FromString(signed.body)
        terminal = registry.find(body.merchant_id, body.terminal_id)
        assert isinstance(terminal, Terminal), terminal
        asked.append((terminal, signed.epoch, signed.body, signed.tac))
    collect_garbage_seldom()
    return Verified(count, min(_time(verifier.check, asked) for _ in range(_ROUNDS)))


def _time(check: object, asked: list[tuple[Terminal, int, bytes, bytes]]) -> float:
    assert callable(check)
    began = time.process_time()
    for terminal, epoch, body, tac in asked:
        if check(terminal, epoch, body, tac) is not None:
            raise AssertionError("a genuine code was refused")
    return time.process_time() - began


def main(
    count: Annotated[int, typer.Argument(help="codes")],
    result: Annotated[Path, typer.Argument()],
) -> None:
    """Verify so many codes and write the time to a file."""
    result.write_bytes(msgspec.json.encode(uvloop.run(_work(count))))


if __name__ == "__main__":
    typer.run(main)
