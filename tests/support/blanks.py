"""Boxes of blanks, and people who answer for them."""

from itertools import count
from typing import Any

import asyncpg

from services.issuance.adapters.blanks import Signed, add_place, enter, find_blanks
from services.issuance.domain.blank import BlankState, Fence, Verb

WINDOW = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"
OTHER = "onecard://merchant/CITY-HALL/terminal/WINDOW-2"
KIT = "onecard://merchant/CITY-HALL/terminal/KIT-1"
PRODUCT = "ssc3"
CLERK, SUPERVISOR, KEEPER = 3, 4, 5
BY_CLERK = Signed(CLERK, 30, WINDOW)
BY_TWO = Signed(CLERK, 30, WINDOW, SUPERVISOR)
BY_KEEPER = Signed(KEEPER, 50, WINDOW)
FENCE = Fence(7, 1)

_boxes = count(1)


def identifier(number: int) -> str:
    return f"440700D156000005{number:08X}{number:08X}"


async def add_box(driver: "asyncpg.Connection[Any]", size: int = 3, product: str = PRODUCT) -> list[str]:
    """A box at the depot; answers its serials."""
    box = next(_boxes)
    serials = [f"B{box:05}{number:05}" for number in range(1, size + 1)]
    await driver.execute(
        "insert into issuance.box (name, product, supplier, count, file_digest) values ($1, $2, 'TEST', $3, '')",
        f"BOX-{box}",
        product,
        size,
    )
    await driver.executemany(
        "insert into issuance.blank (serial, card_identifier, product, box) values ($1, $2, $3, $4)",
        [(serial, identifier(box << 16 | n), product, f"BOX-{box}") for n, serial in enumerate(serials)],
    )
    for verb, state in ((Verb.RECEIVE, BlankState.RECEIVED), (Verb.BOX, BlankState.BOXED)):
        await enter(driver, [(one, state) for one in await find_blanks(driver, serials)], verb, BY_KEEPER)
    return serials


async def assign(driver: "asyncpg.Connection[Any]", serials: list[str], place: str = WINDOW) -> None:
    """Into the hands of a terminal."""
    await add_place(driver, place, "HALL")
    blanks = await find_blanks(driver, serials)
    await enter(driver, [(blank, BlankState.ASSIGNED) for blank in blanks], Verb.ASSIGN, BY_KEEPER, to=place)


async def add_blanks(
    driver: "asyncpg.Connection[Any]", size: int = 3, place: str = WINDOW, product: str = PRODUCT
) -> list[str]:
    """A box that is at a terminal already."""
    serials = await add_box(driver, size, product)
    await assign(driver, serials, place)
    return serials


def genuine(card_identifier: str) -> bool:
    """What a vault with this town's key would say: the check by key repeats the number."""
    return card_identifier[16:24] == card_identifier[24:]


def delivery(box: str, numbers: range, *, product: str = PRODUCT, count: int | None = None) -> bytes:
    """A supplier's file; every other blank has a bank account."""
    lines = [
        f"{box}-{number:05}|{identifier(number)}|{'62284807' + f'{number:08}' if number % 2 else ''}" for number in numbers
    ]
    header = f"{box}|{product}|TEST|{len(lines) if count is None else count}"
    return "\n".join([header, *lines, ""]).encode()
