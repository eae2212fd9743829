import json
import logging
import os
import threading
from importlib.metadata import version

import pytest
import structlog

from services.common.logs import OnceInAWhile, set_up_logs


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


def test_every_line_says_which_process_of_which_version_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    root, before = logging.getLogger(), (logging.getLogger().handlers, logging.getLogger().level)
    of_tests = structlog.get_config()
    try:
        set_up_logs("payments-streams")
        structlog.get_logger().warning("elected_for_housekeeping")
        library = threading.Thread(target=logging.getLogger("aiokafka").error, args=("no way",))
        library.start()
        library.join()
    finally:
        root.handlers, root.level = before
        structlog.configure(**of_tests)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["elected_for_housekeeping", "no way"]
    for line in lines:
        assert line["process"] == "payments-streams"
        assert line["version"] == version("onecard")
        assert line["instance"].endswith(f"/{os.getpid()}")
