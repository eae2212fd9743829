"""A year of a ledger, a month at a time: a program whose clock, and whose PostgreSQL's, the library libfaketime moves.

It says a JSON object a month. `tests/property/test_year.py` starts it, with the URLs of the application and of the owner.
"""

import asyncio
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from sdk.merchant.transaction import SignedRecord
from services.common.database import make_engine
from services.common.logs import set_up_logs
from services.payments.adapters.wire import decode
from services.payments.handlers.audit_books import AuditBooks
from services.payments.handlers.check_books import check_books
from services.payments.handlers.follow_sequences import FollowSequences
from services.payments.handlers.keep_up import keep_up
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from tests.support.sealing import Books, autocommit, sealed_books
from tests.support.town import bus_ride, entry, now_ms, purchase, received

HORIZON_DAYS: Final = 180
MONTHS: Final = 13
DAYS_A_MONTH: Final = 3
TAPS_A_DAY: Final = 100
CARDS: Final = 5
_SIZES: Final = """
select relname, pg_total_relation_size(oid) from pg_class
where relnamespace = 'payments'::regnamespace and relkind = 'r' and not relname like 'transfer\\_%'"""


@dataclass(slots=True)
class Month:
    """What a month ended with."""

    month: str
    taps: int
    made: int
    folded: int
    detached: list[str]
    ahead: int
    verdicts: int
    transfers: int
    problems: list[str]
    """Of the books and of the seals."""
    oldest_again: str
    """Why the very first tap, sent once more, was refused; NONE: its first verdict was given again."""
    bytes_by_table: dict[str, int] = field(default_factory=dict)


def move_clock(days: float) -> None:
    """Of this process and of every child: so many days from the machine's own."""
    Path(os.environ["FAKETIME_TIMESTAMP_FILE"]).write_text(f"+{days * 24:.0f}h\n")


def taps_of_a_day() -> list[SignedRecord]:
    """Of all scenes, all in order."""
    kinds = (lambda n: bus_ride(n % CARDS), lambda n: purchase(n % CARDS, 50), lambda n: entry(n % CARDS))
    return [kinds[n % 3](n) for n in range(TAPS_A_DAY)]


class Year:
    """One ledger, its elected process, and its owner once a month."""

    def __init__(self, books: Books, owner_url: str) -> None:
        self._books = books
        self._owner_url = owner_url
        self._auditor, self._follower = AuditBooks(), FollowSequences()
        self._oldest: list[SignedRecord] = []

    async def month(self, number: int) -> Month:
        """Taps on some days of it, then what its end brings."""
        town = self._books.office.town
        for day in range(DAYS_A_MONTH):
            move_clock(30.5 * number + day)
            await self._books.office.ask(*(self._books.office.top_up(card, 20_000) for card in range(CARDS)))
            taps = taps_of_a_day()
            self._oldest = self._oldest or taps[:1]
            await town.post(received(taps))
            await self._keep_house()
        again = await self._again()
        await self._keep_house()
        return await self._end(again)

    async def _again(self) -> str:
        town = self._books.office.town
        await town.registry.refresh_if_due()
        entries = [(record, decode(record, town.registry, town.verifier)) for record in received(self._oldest)]
        (answer,) = await town.ledger.post(entries, now_ms(), read_all=True)
        return answer.verdict.reason.name if answer.verdict else ""

    async def _keep_house(self) -> None:
        await self._books.seal()
        async with autocommit(self._books.engine) as session:
            await roll_up_accruals(session)
            await self._follower(session)
            await self._auditor(session)

    async def _end(self, again: str) -> Month:
        owner = make_engine(self._owner_url, "owner", sessions=2)
        try:
            kept = await keep_up(owner, HORIZON_DAYS, lambda done, total: None)
        finally:
            await owner.dispose()
        checked, proved = await check_books(self._books.engine), await self._books.verify()
        problems = [checked.problem, proved.problem, "" if checked.balance else f"out of balance: {checked.imbalances}"]
        count = self._books.owner.fetchval
        await self._books.owner.execute("vacuum payments.verdict, payments.accrual, payments.outbox")  # as autovacuum would
        return Month(
            month=str(await count("select to_char(now(), 'YYYY-MM')")),
            taps=DAYS_A_MONTH * TAPS_A_DAY,
            made=kept.months_made,
            folded=kept.folded.verdicts,
            detached=[done.month.name for done in kept.detached],
            ahead=await count("select count(*) from payments.transfer_partition where from_time > now()"),
            verdicts=await count("select count(*) from payments.verdict"),
            transfers=await count("select count(*) from payments.transfer"),
            problems=[problem for problem in problems if problem],
            oldest_again=again,
            bytes_by_table={row[0]: row[1] for row in await self._books.owner.fetch(_SIZES)},
        )


async def live(application_url: str, owner_url: str) -> None:
    """Through all months."""
    engine = make_engine(application_url, "year", sessions=5)
    try:
        async with sealed_books(engine, owner_url, turns=0) as books:
            year = Year(books, owner_url)
            for number in range(MONTHS):
                sys.stdout.write(msgspec.json.encode(asdict(await year.month(number))).decode() + "\n")
    finally:
        await engine.dispose()


if __name__ == "__main__":
    set_up_logs("year")
    asyncio.run(live(*sys.argv[1:]))
