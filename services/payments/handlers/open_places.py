"""Open the accounts of slots whose places somebody wants for the first time, and fill them as the tariff says.

The names of these operations are derived from the slot, so that however many processes ask, a slot is opened and filled once.
"""

from collections.abc import Collection
from typing import Final

import structlog
from sqlalchemy import text

from services.common.database import DatabaseError, Pause, Trouble, trouble
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.requests import open_account, post
from services.payments.domain.operation import Answered, Entry, Operation, Problem
from services.payments.domain.places import Slot
from services.payments.domain.tap import Terminal
from services.payments.domain.transfer import PLACES
from services.payments.handlers.operate import Operate
from services.payments.handlers.register_merchants import ensure_service

log = structlog.get_logger()

_NEXT: Final = text("select nextval('payments.back_office_account_id') from generate_series(1, :count)")


class OpenPlaces:
    """Makes slots known to a ledger before it needs them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._operate = Operate(ledger)
        self._itself: Terminal | None = None

    async def __call__(self, slots: Collection[Slot]) -> None:
        """Returns when all of them are open, however long the database is away."""
        missing = [slot for slot in slots if slot.key not in self._ledger.places]
        if not missing:
            return
        itself, numbers = await self._prepare(len(missing))
        opened = await self._ask([_open(itself, *numbered) for numbered in zip(missing, numbers, strict=True)])
        accounts = [answer.ruling.account_id for answer in opened if answer.ruling is not None]
        filled = await self._ask([self._fill(itself, slot, account) for slot, account in zip(missing, accounts, strict=True)])
        for slot, account, answer in zip(missing, accounts, filled, strict=True):
            if answer.problem is Problem.CONFLICT:
                # What was given stays; the office posts what should be different.
                log.warning("places_given_differently", merchant=slot.merchant_id, slot=slot.name, places=slot.places)
            self._ledger.places[slot.key] = account

    def _fill(self, itself: Terminal, slot: Slot, account: int) -> Operation:
        entries = (
            Entry(self._ledger.rules.places_given_account, debit=True, amount_fen=slot.places),
            Entry(account, debit=False, amount_fen=slot.places),
        )
        return post(itself, f"fill {slot.name}", entries, PLACES, event_time_ms=slot.begins_ms, may_overdraw=False)

    async def _ask(self, operations: list[Operation]) -> list[Answered]:
        answers = await self._operate(operations)
        assert all(isinstance(answer, Answered) for answer in answers), "the database stores what the ledger makes itself"
        return [answer for answer in answers if isinstance(answer, Answered)]

    async def _prepare(self, count: int) -> tuple[Terminal, list[int]]:
        """The ledger as its own caller, and numbers of accounts that nobody has."""
        pause = Pause(self._ledger.place)
        while True:
            try:
                async with self._ledger.engine.begin() as connection:
                    if self._itself is None:
                        self._itself = await ensure_service(connection, "ledger")
                    return self._itself, list((await connection.scalars(_NEXT, {"count": count})).all())
            except DatabaseError as error:
                if trouble(error) is Trouble.REJECTED:
                    raise
                await pause.wait(error)


def _open(itself: Terminal, slot: Slot, number: int) -> Operation:
    name = slot.name
    return open_account(
        itself, f"open {name}", number, name=name, currency=PLACES, guarded=True, overdraft_fen=0, purse=None
    )  # fmt: skip
