"""`onecard till` and `onecard window` before real API processes, with the certificates of a city's folder."""

import asyncio
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.support.api import HALL, Api, terminal_subject
from tests.support.town import CAMPUS, card_identifier

WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}


class Counter:
    """Types commands."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._folder = folder
        self._api = api
        shutil.copy(api.authority.certificate, folder / "authority.crt")
        for name, subject in ((CAMPUS, f"onecard://merchant/{CAMPUS}"), (f"W0@{HALL}", terminal_subject(HALL, "W0"))):
            issued = api.authority.issue(subject)
            shutil.copy(issued.certificate, folder / f"{name}.crt")
            shutil.copy(issued.key, folder / f"{name}.key")
        self.card = card_identifier(api.new_card())

    async def till(self, *words: str) -> Result:
        return await self._type("till", words[0], "--merchant", CAMPUS, *words[1:])

    async def window(self, *words: str) -> Result:
        return await self._type("window", words[0], "--office", HALL, "--window", "W0", *words[1:])

    async def _type(self, *words: str) -> Result:
        where = ["--api", self._api.address, "--certificates", str(self._folder)]
        return await asyncio.to_thread(CliRunner(env=WIDE).invoke, app, [*words, *where])


@pytest.fixture
async def counter(api: Api, tmp_path: Path) -> Counter:
    return Counter(api, tmp_path)


def line(result: Result, name: str) -> str:
    """What stands behind a name."""
    return next(found.removeprefix(name).strip() for found in result.output.splitlines() if found.startswith(name))


async def test_a_till_pays_and_gives_back(counter: Counter) -> None:
    paid = await counter.till("pay", counter.card, "7.50")
    assert paid.exit_code == 0, paid.output
    assert line(paid, "approved") == "7.50"
    payment = line(paid, "payment")
    assert line(await counter.till("refund", payment, "2"), "approved") == "2.00"
    shown = await counter.till("show", payment)
    assert [line(shown, name) for name in ("status", "captured", "refunded")] == ["captured", "7.50", "2.00"]
    too_much = await counter.till("refund", payment, "5.51")
    assert too_much.exit_code == 1
    assert line(too_much, "declined").endswith("(EXCEEDS_PAID)")


async def test_a_till_holds_captures_and_voids(counter: Counter) -> None:
    held = await counter.till("hold", counter.card, "30", "--for", "600")
    assert line(await counter.till("show", line(held, "payment")), "held") == "30.00"
    part = await counter.till("capture", line(held, "payment"), "12.5", "--more-to-come")
    assert line(part, "approved") == "12.50"
    assert line(await counter.till("capture", line(held, "request id")), "approved") == "17.50"
    other = await counter.till("hold", counter.card, "5")
    assert (await counter.till("void", line(other, "payment"))).exit_code == 0
    assert line(await counter.till("show", line(other, "payment")), "status") == "voided"


async def test_what_was_asked_under_an_id_is_answered_again(counter: Counter) -> None:
    first = await counter.till("pay", counter.card, "1", "--request-id", "counter-1")
    assert (await counter.till("pay", counter.card, "1", "--request-id", "counter-1")).output == first.output
    other = await counter.till("pay", counter.card, "2", "--request-id", "counter-1")
    assert other.exit_code == 2
    assert "IDENTITY_CONFLICT" in other.output


async def test_a_window_brings_money_and_shows_it(counter: Counter) -> None:
    before = await counter.window("balance", counter.card)
    assert before.exit_code == 0, before.output
    assert "100.00" in before.output
    assert line(await counter.window("top-up", counter.card, "50"), "approved") == "50.00"
    assert line(await counter.window("top-up", counter.card, "0.07", "--bank"), "approved") == "0.07"
    assert "150.07" in (await counter.window("balance", counter.card)).output
    entries = await counter.window("entries", counter.card, "--limit", "2")
    assert entries.output.count("top up") == 2
    assert "150.07" in entries.output


async def test_a_window_without_a_certificate_asks_nothing(counter: Counter) -> None:
    refused = await counter.window("balance", counter.card, "--window", "W9")
    assert refused.exit_code == 2
    assert "holds no certificate" in refused.output


@pytest.mark.parametrize("amount", ["0", "1.234", "7,50", "1e3", "seven"])
async def test_an_amount_is_yuan_with_at_most_two_decimals(counter: Counter, amount: str) -> None:
    refused = await counter.till("pay", counter.card, amount)
    assert refused.exit_code == 2
    assert "no amount" in refused.output
