"""Logs are events with fields, one JSON object a line on standard error; never a name, a number or a key."""

import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, MutableMapping
from importlib.metadata import version
from typing import Any, Final

import structlog


class OnceInAWhile(logging.Filter):
    """Lets a library say the same thing once in ten seconds, with how often it was left out before.

    While a broker is away, its clients say several things ten times a second. Our own events all pass.
    """

    SECONDS: Final = 10.0
    MOST_KEPT: Final = 1000

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; the same thing is the same template, whatever it is filled with."""
        if isinstance(record.msg, dict):
            return True
        if len(self._said) > self.MOST_KEPT:
            self._said.clear()
        key, now = (record.name, record.msg), time.monotonic()
        since, left_out = self._said.get(key, (float("-inf"), 0))
        if now - since < self.SECONDS:
            self._said[key] = since, left_out + 1
            return False
        self._said[key] = now, 0
        if left_out:
            record.left_out = left_out
        return True


def set_up_logs(process: str) -> None:
    """Send our events and the libraries' lines to standard error in one form; every line says who wrote it."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _signed(process=process, version=version("onecard"), instance=f"{socket.gethostname()}/{os.getpid()}"),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OnceInAWhile())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=["left_out"])],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    quieten()


def quieten() -> None:
    """Libraries that tell of each of their steps say from now on only what is wrong."""
    for noisy in ("aiokafka", "kafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _signed(**who: str) -> Callable[[object, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    """Adds the same fields to every line. Not as bound context, which a library's own thread would not have."""

    def sign(_logger: object, _level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update(who)
        return event

    return sign


def fault_of(error: BaseException) -> dict[str, str]:
    """What a line says of an error: which, and where. Without its own message, which may quote what is personal."""
    return {"error": type(error).__name__, "traceback": "".join(traceback.format_tb(error.__traceback__))}
