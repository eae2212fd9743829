"""What Alertmanager tells: read as it comes, said once for each receiver, and known until it is over."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from cli.city.notices import Board, Notice, read_notices

MINUTE = datetime(2026, 11, 28, 8, 30, tzinfo=UTC)


def message(**change: object) -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": "LedgerImbalance", "severity": "page", "currency": "CNY"},
        "annotations": {"summary": "the books are out of balance by 1 fen", "runbook": "docs/runbooks/imbalance.md"},
        "startsAt": "2026-11-28T08:30:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:20000/graph",
        "fingerprint": "c0ffee",
    }
    group = {"version": "4", "receiver": "on-call", "status": "firing", "groupLabels": {"alertname": "LedgerImbalance"}}
    return json.dumps({**group, "alerts": [{**alert, **change}]}).encode()


def notice(*, fires: bool = True, which: str = "a", receiver: str = "on-call", began: datetime = MINUTE) -> Notice:
    return Notice(receiver, "LedgerImbalance", "page", fires, began, which, "out of balance", "docs/runbooks/imbalance.md")


def test_a_call_of_the_webhook_says_who_is_told_of_what() -> None:
    (told,) = read_notices(message())
    assert (told.receiver, told.alert, told.severity, told.fires) == ("on-call", "LedgerImbalance", "page", True)
    assert told.began.replace(microsecond=0) == MINUTE
    assert told.line() == "on-call: LedgerImbalance: the books are out of balance by 1 fen (docs/runbooks/imbalance.md)"


def test_an_end_is_told_as_an_end() -> None:
    (told,) = read_notices(message(status="resolved"))
    assert not told.fires
    assert told.line() == "on-call: LedgerImbalance is over"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"receiver":"on-call"}', message(status="perhaps"), b"\xff\xfe"])
def test_whatever_else_comes_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_notices(content)


def test_what_is_told_again_because_it_goes_on_is_said_once() -> None:
    said: list[str] = []
    board = Board(said.append)
    for _ in range(3):
        board.hang([notice()])
    assert len(said) == 1
    assert board.firing == {"LedgerImbalance"}
    for _ in range(2):
        board.hang([notice(fires=False)])
    assert said[1:] == ["on-call: LedgerImbalance is over"]
    assert board.firing == set()


def test_an_end_of_what_nobody_was_told_of_is_nothing() -> None:
    board = Board()
    board.hang([notice(fires=False)])
    assert board.since(0) == []


def test_it_is_over_when_each_of_that_name_is() -> None:
    board = Board()
    board.hang([notice(which="a"), notice(which="b")])
    board.hang([notice(which="a", fires=False)])
    assert board.firing == {"LedgerImbalance"}
    board.hang([notice(which="b", fires=False)])
    assert board.firing == set()


def test_two_receivers_are_told_apart_and_a_second_beginning_is_a_new_one() -> None:
    board = Board()
    later = MINUTE.replace(minute=45)
    board.hang([notice(), notice(receiver="office"), notice(began=later)])
    assert [(told.receiver, told.began) for told in board.since(0)] == [
        ("on-call", MINUTE),
        ("office", MINUTE),
        ("on-call", later),
    ]
    assert board.since(2) == board.since(0)[2:]
