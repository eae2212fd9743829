"""A mobile network between a kit and the platform: it delays, and breaks; what arrives is right, and in order."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from random import Random

from simulation.metrics import LINK_CUTS

_CHUNK = 16 * 1024
_LOOK_SECONDS = 0.2


class Link:
    """A listener on loopback that passes everything on to an address; each connection breaks when its time is over."""

    def __init__(
        self, address: str, *, lasts_seconds: Callable[[], float] = lambda: float("inf"), delay_seconds: float = 0.0
    ) -> None:
        """`lasts_seconds`: of the next connection."""
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._lasts_seconds = lasts_seconds
        self._delay_seconds = delay_seconds
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_LOOK_SECONDS)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen, name=f"link to {address}", daemon=True)]
        self._open: set[socket.socket] = set()
        self._threads[0].start()

    def cut(self) -> None:
        """Break all connections, now."""
        for end in tuple(self._open):
            _break(end)

    def close(self) -> None:
        """Break everything, and listen no more."""
        self._ended.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                far = socket.create_connection(self._to, timeout=5)
            except OSError:
                near.close()
                continue
            thread = threading.Thread(target=self._carry, args=(near, far), daemon=True)
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
            thread.start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        ends = {near: far, far: near}
        self._open |= {near, far}
        until = time.monotonic() + self._lasts_seconds()
        try:
            while not self._ended.is_set():
                if time.monotonic() > until:
                    LINK_CUTS.inc()
                    return
                for end in select.select(list(ends), [], [], _LOOK_SECONDS)[0]:
                    if not (chunk := end.recv(_CHUNK)):
                        return
                    if self._delay_seconds:
                        time.sleep(self._delay_seconds)
                    ends[end].sendall(chunk)
        except (OSError, ValueError):
            return
        finally:
            self._open -= {near, far}
            for end in ends:
                _break(end)


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def flaky(random: Random, mean_seconds: float) -> Callable[[], float]:
    """How long each connection lasts."""
    return lambda: random.expovariate(1 / mean_seconds)
