"""A card printer behind the operating system's printing service: what came out, what did not, and what nobody knows."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from functools import cache

import pytest

import sdk.window.devices.cups_printer as module
from sdk.window.devices.cups_printer import CupsPrinter
from sdk.window.devices.making import made
from sdk.window.devices.printer import Printed
from tests.support.cupsd import Cupsd, cupsd, require
from tests.support.waiting import until
from tests.unit.sdk.devices.faces import face

pytestmark = pytest.mark.cups
once_made = cache(made)


@pytest.fixture
def cups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cupsd]:
    require()
    monkeypatch.setattr(module, "made", once_made)
    with cupsd() as started:
        monkeypatch.setenv("CUPS_SERVER", started.server)
        yield started


def printer(seconds: float = 20) -> CupsPrinter:
    return CupsPrinter("card", timeout_seconds=seconds, look_again_seconds=0.1)


async def in_the_making(cups: Cupsd, seconds: float = 20) -> asyncio.Task[Printed]:
    """A card that the printer has begun with."""
    making = asyncio.create_task(asyncio.to_thread(printer(seconds).print, face()))
    await until("the printer has begun", lambda: cups.began)
    return making


def test_a_card_comes_out_whole_and_the_service_keeps_nothing_of_it(cups: Cupsd) -> None:
    assert printer().ready().ready
    assert printer().print(face()) is Printed.DONE
    assert cups.cards == [once_made(face())]
    assert cups.kept() == []
    assert printer().print(face()) is Printed.DONE


@pytest.mark.parametrize(("command", "reason"), [("cupsdisable", "PRINTER_STOPPED"), ("cupsreject", "PRINTER_CLOSED")])
def test_a_queue_that_is_stopped_or_closed_says_so_and_is_given_nothing(cups: Cupsd, command: str, reason: str) -> None:
    cups.administer(command, "card")
    assert printer().ready().reason == reason
    assert printer().print(face()) is Printed.FAILED_BEFORE
    assert not cups.began
    assert cups.kept() == []


def test_a_printer_without_cards_stops_and_its_card_does_not_come_out_later(cups: Cupsd) -> None:
    cups.mood("empty")
    assert printer(3).print(face()) is Printed.UNKNOWN
    assert printer().ready().reason == "PRINTER_STOPPED"
    cups.mood("")
    cups.administer("cupsenable", "card")
    assert printer().ready().ready
    assert cups.cards == []
    assert cups.kept() == []


def test_a_printer_that_fails_is_for_somebody_to_look_at(cups: Cupsd) -> None:
    cups.mood("fails")
    assert printer(3).print(face()) is Printed.UNKNOWN
    assert cups.cards == []
    assert cups.kept() == []


async def test_a_job_that_somebody_cancels_is_for_somebody_to_look_at(cups: Cupsd) -> None:
    cups.mood("slow")
    making = await in_the_making(cups)
    assert printer().ready().reason == "QUEUE_NOT_EMPTY"
    cups.administer("cancel", "-a", "card")
    assert await making is Printed.UNKNOWN
    assert cups.kept() == []


async def test_a_card_that_takes_too_long_is_taken_back(cups: Cupsd) -> None:
    cups.mood("slow")
    assert printer(2).print(face()) is Printed.UNKNOWN
    await until("the printer is free", lambda: printer().ready().ready)
    assert cups.kept() == []


def test_where_the_service_is_away_nothing_is_printed(cups: Cupsd) -> None:
    cups.stop()
    assert printer().ready().reason == "NO_PRINTER"
    assert printer().print(face()) is Printed.FAILED_BEFORE
    cups.start()
    assert printer().print(face()) is Printed.DONE


async def test_where_the_service_goes_away_with_a_card_the_next_one_waits_until_somebody_has_looked(cups: Cupsd) -> None:
    cups.mood("slow")
    making = await in_the_making(cups, seconds=3)
    cups.stop()
    assert await making is Printed.UNKNOWN
    cups.start()
    assert printer().ready().reason == "QUEUE_NOT_EMPTY"
    assert printer().print(face()) is Printed.FAILED_BEFORE
    assert cups.cards == []


def test_a_printer_that_the_service_does_not_know_is_named(cups: Cupsd) -> None:
    state = CupsPrinter("other").ready()
    assert state.reason == "NO_PRINTER"
    assert "other" in state.message
    assert CupsPrinter("other").print(face()) is Printed.FAILED_BEFORE


def test_the_window_speaks_to_the_service_as_anybody_does(cups: Cupsd) -> None:
    """Over the network nobody is root: what is tested here is what a clerk may."""
    as_clerk = os.environ | {"LC_ALL": "C"}
    denied = subprocess.run(["cupsdisable", "card"], capture_output=True, env=as_clerk, stdin=subprocess.DEVNULL, check=False)
    assert denied.returncode != 0
