"""Renews a terminal's hotlist over the merchant's line, in a thread of its own, which comes back by itself."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Self

import grpc

from onecard.card.v1.hotlist_pb2 import GetHotlistRequest
from onecard.card.v1.hotlist_pb2_grpc import HotlistServiceStub
from sdk.merchant.access import Line
from sdk.merchant.hotlist import Hotlist
from sdk.merchant.hotlist_update import NOTHING, Step, Version

log = logging.getLogger("onecard.merchant")

PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 300.0


def pull(hotlist: Hotlist, line: Line) -> Step:
    """Bring the list up to date. Raises grpc.RpcError when nobody answers, or breaks off: the list is what it was then."""
    step = _ask(hotlist, line, hotlist.version)
    return step if step is not Step.HOLE else _ask(hotlist, line, NOTHING)


def _ask(hotlist: Hotlist, line: Line, has: Version) -> Step:
    request = GetHotlistRequest(epoch=has.epoch, version=has.version)
    call = HotlistServiceStub(line.channel).GetHotlist(request, metadata=line.metadata, timeout=PATIENCE_SECONDS)
    step = Step.UNFINISHED
    for response in call:
        step = hotlist.take(response.update)
    return step


class HotlistPuller:
    """Asks every so many seconds, and less and less often while nobody answers."""

    def __init__(self, hotlist: Hotlist, connect: Callable[[], Line], every_seconds: float = 30.0) -> None:
        """`connect` opens a line to the card service each time anew: certificates may be renewed meanwhile."""
        self.down_since: float | None = None
        """Since when nobody answers; None while somebody does."""
        self._hotlist = hotlist
        self._connect = connect
        self._every_seconds = every_seconds
        self._ending = threading.Event()
        self._line: Line | None = None
        self._thread = threading.Thread(target=self._run, name="hotlist", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if line := self._line:
            line.channel.close()
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ending.is_set():
            if self._pulled():
                pause, rest = FIRST_PAUSE_SECONDS, self._every_seconds
            else:
                rest = pause
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            # A fleet that was switched on together does not ask together for ever.
            self._ending.wait(rest * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def _pulled(self) -> bool:
        try:
            self._line = line = self._connect()
            try:
                pull(self._hotlist, line)
            finally:
                self._line = None
                line.channel.close()
        except (grpc.RpcError, OSError, ValueError) as error:  # ValueError: the line was closed under it
            if not self._ending.is_set():
                self._say_down(error)
            return False
        if self.down_since is not None:
            log.warning("the hotlist is renewed again after %.0f s", time.monotonic() - self.down_since)
            self.down_since = None
        return True

    def _say_down(self, error: Exception) -> None:
        if self.down_since is None:
            self.down_since = time.monotonic()
            why = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.Call) else str(error)
            log.warning("nobody renews the hotlist (%s); version %s stays in use", why, self._hotlist.version.version)
