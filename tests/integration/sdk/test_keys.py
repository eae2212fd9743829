"""What terminals sign with: fetched once, renewed at each connection, good for as long as nobody answers."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.servers.ports import HOST, free_port
from onecard.payments.v1.terminal_keys_pb2 import GetTerminalKeysRequest, GetTerminalKeysResponse
from onecard.payments.v1.terminal_keys_pb2 import TerminalKey as TerminalKeyMessage
from onecard.payments.v1.terminal_keys_pb2_grpc import TerminalKeyServiceServicer, add_TerminalKeyServiceServicer_to_server
from onecard.payments.v1.transactions_pb2 import SignedTransaction
from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.key_file import KeyFileError
from sdk.merchant.keys import NoKeyError, TerminalKeys
from sdk.merchant.spool import Spool, Spooled
from sdk.merchant.transaction import SignedRecord, sign
from tests.support.terminal_keys import key_of
from tests.unit.sdk.taps import ride

PLACE = ("BUS", "V-1")
NOW_MS = time.time_ns() // 1_000_000
DAY_MS = 86_400_000


@dataclass
class Platform(TerminalKeyServiceServicer):
    """Gives the keys of the epochs that a test says; refuses terminals that are not registered."""

    epochs: dict[int, int] = field(default_factory=lambda: {1: 0})
    """Their numbers and from when they are valid."""
    asked: int = 0

    def GetTerminalKeys(self, request: GetTerminalKeysRequest, context: Any) -> GetTerminalKeysResponse:  # noqa: N802
        self.asked += 1
        if not request.terminal_id.startswith("V-"):
            context.abort(grpc.StatusCode.NOT_FOUND, "this merchant has no such terminal")
        keys = [(epoch, key_of("BUS", request.terminal_id, epoch).key, since) for epoch, since in self.epochs.items()]
        return GetTerminalKeysResponse(
            current_epoch=1, keys=[TerminalKeyMessage(epoch=epoch, key=key, valid_from_ms=since) for epoch, key, since in keys]
        )


@pytest.fixture
def access() -> Access:
    return Access(f"{HOST}:{free_port()}")


@contextmanager
def served(access: Access, platform: Platform) -> Iterator[Platform]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_TerminalKeyServiceServicer_to_server(platform, server)
    server.add_insecure_port(access.address)
    server.start()
    try:
        yield platform
    finally:
        server.stop(0).wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.spool.keys"


def renew(keys: TerminalKeys, access: Access) -> None:
    """As at a new connection."""
    line = access.connect("BUS")
    keys.renew("BUS", line)
    line.channel.close()


def epoch_of(record: SignedRecord | Spooled) -> int:
    return SignedTransaction.FromString(record.record).epoch


def test_a_terminal_that_was_never_connected_cannot_sign(access: Access, path: Path) -> None:
    keys = TerminalKeys(path, access)
    with pytest.raises(NoKeyError, match="V-1"):
        keys.sign(ride(1), 1)
    missing = keys.fetch([PLACE])
    assert (list(missing), missing[PLACE].final) == ([PLACE], False)
    assert not path.exists()


def test_keys_are_fetched_once_and_signed_with_for_weeks_offline(
    access: Access, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(access, Platform()) as platform:
        assert TerminalKeys(path, access).fetch([PLACE, PLACE, ("BUS", "V-2")]) == {}
        assert platform.asked == 2
    keys = TerminalKeys(path, access)
    weeks_later = time.time_ns() + 60 * DAY_MS * 1_000_000
    monkeypatch.setattr(time, "time_ns", lambda: weeks_later)
    renew(keys, access)
    assert keys.fetch([PLACE]) == {}
    assert keys.sign(ride(1), 1) == _signed(1, 1)
    assert TerminalKeys(path, access).key_of(*PLACE) == keys.key_of(*PLACE)


def _signed(card: int, sequence: int, epoch: int = 1) -> SignedRecord:
    return sign(ride(card), sequence, key_of("BUS", "V-1", epoch))


def test_a_terminal_that_the_platform_does_not_know_is_told_so_and_the_others_have_keys(access: Access, path: Path) -> None:
    keys = TerminalKeys(path, access)
    with served(access, Platform()):
        missing = keys.fetch([("BUS", "STOLEN"), PLACE])
    assert missing[("BUS", "STOLEN")].final
    assert list(missing) == [("BUS", "STOLEN")]
    assert keys.key_of(*PLACE).epoch == 1


def test_the_newest_epoch_whose_time_has_come_signs(access: Access, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = TerminalKeys(path, access)
    with served(access, Platform({1: 0, 2: NOW_MS - DAY_MS, 3: NOW_MS + DAY_MS})):
        keys.fetch([PLACE])
    assert keys.key_of(*PLACE).epoch == 2
    tomorrow = (NOW_MS + 2 * DAY_MS) * 1_000_000
    monkeypatch.setattr(time, "time_ns", lambda: tomorrow)
    assert keys.key_of(*PLACE).epoch == 3  # without anybody's saying so
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert keys.key_of(*PLACE).epoch == 1


def test_a_renewal_brings_new_epochs_and_takes_retired_ones(access: Access, path: Path) -> None:
    keys = TerminalKeys(path, access)
    with served(access, Platform({1: 0})) as platform:
        keys.fetch([PLACE])
        platform.epochs = {2: 0}
        renew(keys, access)
        assert keys.key_of(*PLACE).epoch == 2
        platform.epochs = {}
        renew(keys, access)  # nothing to sign with is no better than what was there
    assert TerminalKeys(path, access).key_of(*PLACE).epoch == 2


def test_a_spool_keeps_what_was_signed_before_its_epoch_changed(access: Access, tmp_path: Path) -> None:
    with Spool(tmp_path / "bus.spool") as spool:
        client = MerchantClient("127.0.0.1:1", spool, access)
        with served(access, Platform({1: 0})) as platform:
            client.submit([ride(1), ride(2)])
            before = spool.take_due(2**62, 10)
            platform.epochs = {1: 0, 2: 0}
            renew(client.keys, access)
            client.submit([ride(3)])
        spool.all_due()
        emitted = spool.take_due(2**62, 10)
    assert [epoch_of(one) for one in emitted] == [1, 1, 2]
    assert [one.record for one in emitted[:2]] == [one.record for one in before] == [_signed(1, 1).record, _signed(2, 2).record]
    with Spool(tmp_path / "bus.spool") as again:
        assert [one.record for one in again.take_due(2**62, 10)] == [one.record for one in emitted]


def test_a_tap_of_a_terminal_without_a_key_takes_no_number(access: Access, tmp_path: Path) -> None:
    with Spool(tmp_path / "bus.spool") as spool:
        client = MerchantClient("127.0.0.1:1", spool, access)
        with pytest.raises(NoKeyError, match="UNAVAILABLE"):
            client.submit([ride(1)])
        assert spool.pending_count == 0
        with served(access, Platform()):
            client.submit([ride(1)])
        (kept,) = spool.take_due(2**62, 10)
        assert kept.record == _signed(1, 1).record


def test_no_key_is_in_the_spool_in_a_log_or_in_what_is_shown(
    access: Access, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Spool(tmp_path / "bus.spool") as spool:
        client = MerchantClient("127.0.0.1:1", spool, access)
        with served(access, Platform()):
            client.submit([ride(1)])
        renew(client.keys, access)
        key = client.keys.key_of(*PLACE)
        spooled = b"".join(file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith(".keys"))
    assert "keep the keys that they have" in caplog.text
    for shown in (key.key, key.key.hex().encode()):
        assert shown not in spooled
        assert shown not in caplog.text.encode()
        assert shown not in repr((key, client.keys.key_of)).encode()
    assert key.key.hex().encode() in (tmp_path / "bus.spool.keys").read_bytes()


def test_a_file_that_others_can_read_is_not_signed_with(access: Access, tmp_path: Path) -> None:
    (tmp_path / "bus.spool.keys").write_text("{}")
    with Spool(tmp_path / "bus.spool") as spool, pytest.raises(KeyFileError, match="chmod 600"):
        MerchantClient("127.0.0.1:1", spool, access)
