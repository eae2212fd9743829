"""Compares what lies on tables and in pockets with the books: blanks and their chips, and the cash in the tills."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from services.common.peer import Subject
from services.issuance.domain.blank import BlankState
from simulation.chips.drawer import Drawer, Hand, Plastic
from simulation.tills import Tills

CARD_NUMBER = (0xEF05, 7)
"""Where it stands on the chip: the last that is written."""
HANDS = {BlankState.HANDED_OVER: Hand.HOLDER, BlankState.SPOILED: Hand.SPOILED}
"""Everything else lies at an office."""
UNFINISHED = frozenset({BlankState.RESERVED, BlankState.PERSONALISING, BlankState.VERIFIED})

BLANKS = "select serial, card_identifier, state, place, product from issuance.blank"
MADE = "select card_identifier from card.card where production = 70"
CASH = """
select a.name, -(a.credits_posted_fen - a.debits_posted_fen + coalesce(sum(c.credits_fen - c.debits_fen), 0))::bigint
from payments.account a left join payments.accrual c on c.account_id = a.id where a.name like 'cash:%' group by a.id"""
CLOSED = """
select p.name, coalesce((select c.cash_difference_fen from issuance.shift_close c where c.place = p.name
    order by c.period desc limit 1), -1)
from issuance.place p where p.name like 'onecard://%'"""
"""Of each place its last close; -1: there was none."""


class Booked(NamedTuple):
    """A blank by the ledger of blanks."""

    serial: str
    card_identifier: str
    state: BlankState
    place: str
    product: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found."""

    blanks: Mapping[BlankState, int]
    tills: int
    problems: Sequence[str]


def count(owner_url: str, folder: Path) -> Counted:
    """Look at every card and every till; `folder` is where the simulation keeps them."""
    return asyncio.run(_count(owner_url, folder))


def differences(booked: Iterable[Booked], plastics: Mapping[str, Plastic], made: frozenset[str]) -> list[str]:
    """What is not as the books have it, a line each. `made`: card identifiers of the registry's issued cards."""
    found, numbers = [], Counter[bytes]()
    for blank in booked:
        plastic = plastics.get(blank.serial)
        if plastic is None:
            found.append(f"{blank.serial} is nowhere")
        elif plastic.chip.identifier.hex().upper() != blank.card_identifier:
            found.append(f"{blank.serial} has another chip")
        elif plastic.hand is not HANDS.get(blank.state, Hand.OFFICE):
            found.append(f"{blank.serial} is {blank.state.name} in the books, and with {plastic.hand.value}")
        elif blank.state in UNFINISHED:
            found.append(f"{blank.serial} was begun and not finished: {blank.state.name}")
        elif blank.state is BlankState.HANDED_OVER:
            number = plastic.chip.records.get(CARD_NUMBER)
            if number is None or plastic.printed != 1 or blank.card_identifier not in made:
                found.append(f"{blank.serial} was handed over, printed {plastic.printed} times, and is no whole card")
            else:
                numbers[number] += 1
    return found + [f"{count} chips have one card number" for count in numbers.values() if count > 1]


async def _count(owner_url: str, folder: Path) -> Counted:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(owner_url.replace("+asyncpg", ""))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            booked = [Booked(a, b, BlankState(c), d, e) for a, b, c, d, e in await connection.fetch(BLANKS)]
            made = frozenset(row[0] for row in await connection.fetch(MADE))
            cash = dict(await connection.fetch(CASH))
            closed = dict(await connection.fetch(CLOSED))
    finally:
        await connection.close()
    plastics = {plastic.serial: plastic for plastic in Drawer(folder / "cards").all()}
    problems = differences(booked, plastics, made)
    tills, counted = Tills(folder / "tills.jsonl"), 0
    for place, difference_fen in closed.items():
        counted += 1
        name, held = Subject.parse(place).cash_account, tills.count(place)
        if cash.get(name, 0) != held:
            problems.append(f"{name} holds {held} fen, and owes {cash.get(name, 0)}")
        if difference_fen:
            problems.append(f"the shift at {place} was not closed, or not without a difference")
    return Counted(Counter(blank.state for blank in booked), counted, problems)
