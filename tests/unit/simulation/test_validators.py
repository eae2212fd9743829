"""Validators of the city: what is on their hotlist leaves no tap, what was accepted before stays accepted."""

import time
from pathlib import Path

import pytest

from onecard.card.v1.hotlist_pb2 import HotlistUpdate
from sdk.merchant.access import Access
from sdk.merchant.hotlist import Hotlist
from sdk.merchant.transaction import BusRide
from simulation.validators import Validators

NOW_MS = 1_800_000_000_000


def ride(card: str, event_time_ms: int = NOW_MS) -> BusRide:
    return BusRide(
        merchant_id="BUS-HARBOUR",
        terminal_id="LINE-01-B01",
        card_identifier=card,
        event_time_ms=event_time_ms,
        line_id="LINE-01",
        stop_id="STOP-01",
    )


def test_a_listed_card_is_refused_at_the_validator_and_everybody_else_rides(tmp_path: Path) -> None:
    with Hotlist(tmp_path / "hotlist") as hotlist:
        hotlist.take(HotlistUpdate(epoch=1, version=1, added=["LOST"], chunks=1, complete_time_ms=1))
    with Validators(tmp_path / "hotlist", Access("127.0.0.1:1")) as validators:
        assert not validators.accept(ride("LOST"), NOW_MS)
        assert validators.accept(ride("FOUND"), NOW_MS)
        assert validators.accept(ride("LOST", NOW_MS - 1_000), NOW_MS)  # accepted a second ago, told only now


def test_validators_renew_a_list_that_is_empty_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Validators(tmp_path / "hotlist", Access("127.0.0.1:1")):  # where nobody answers
        end = time.monotonic() + 20
        while not [record for record in caplog.records if "nobody renews the hotlist" in record.getMessage()]:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_without_a_card_service_every_card_rides(tmp_path: Path) -> None:
    with Validators(tmp_path / "hotlist", None) as validators:
        assert validators.accept(ride("LOST"), NOW_MS)
    assert not (tmp_path / "hotlist").exists()
