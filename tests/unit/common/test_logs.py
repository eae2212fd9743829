import logging

import pytest

from services.common.logs import OnceInAWhile


def record(message: object, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.conn", logging.ERROR, "", 0, message, arguments, None)


def test_a_library_says_the_same_thing_once_in_a_while_and_how_often_it_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    passes = OnceInAWhile().filter
    assert [passes(record("no way to %s", n)) for n in range(3)] == [True, False, False]
    assert passes(record("something else"))
    now = OnceInAWhile.SECONDS
    again = record("no way to %s", 9)
    assert passes(again)
    assert again.__dict__["left_out"] == 2


def test_our_own_events_all_pass() -> None:
    passes = OnceInAWhile().filter
    assert all(passes(record({"event": "waiting_for_broker"})) for _ in range(3))
