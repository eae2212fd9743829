"""A mobile network between a kit and the platform: it delays, and breaks; what arrives is right, and in order.

That is, in order on its connection: the other end of one that broke may hear the last of it when a newer one is long there.
"""

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
        self,
        address: str,
        *,
        lasts_seconds: Callable[[], float] = lambda: float("inf"),
        lasts_bytes: Callable[[], float] = lambda: float("inf"),
        delay_seconds: Callable[[], float] = lambda: 0.0,
        late_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Each is asked for the next connection.

        `lasts_bytes`: in both directions; it breaks in the middle of a message.
        `late_seconds`: so much later than at the kit it breaks at the platform, and what was on its way still arrives there,
        behind newer connections.
        """
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._lasts_seconds = lasts_seconds
        self._lasts_bytes = lasts_bytes
        self._delay_seconds = delay_seconds
        self._late_seconds = late_seconds
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_LOOK_SECONDS)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen, name=f"link to {address}", daemon=True)]
        self._near: set[socket.socket] = set()
        self._threads[0].start()

    def cut(self) -> None:
        """Break all connections, now."""
        for end in tuple(self._near):
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
            thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        self._near.add(near)
        delay_seconds, late_seconds, rest, cut = self._delay_seconds(), self._late_seconds(), b"", 0
        self._ended.wait(delay_seconds)
        try:
            far = socket.create_connection(self._to, timeout=5)
        except OSError:
            self._near.discard(near)
            _break(near)
            return
        try:
            rest, cut = self._pass_on(near, far, delay_seconds)
        finally:
            self._near.discard(near)
            _break(near)
            self._ended.wait(late_seconds)
            with contextlib.suppress(OSError):
                far.sendall(rest if late_seconds else rest[:cut])
            _break(far)

    def _pass_on(self, near: socket.socket, far: socket.socket, delay_seconds: float) -> tuple[bytes, int]:
        """Until it breaks; what was on its way to the far end then, and where it was cut."""
        ends = {near: far, far: near}
        until, left = time.monotonic() + self._lasts_seconds(), self._lasts_bytes()
        with contextlib.suppress(OSError, ValueError):
            while not self._ended.is_set():
                if time.monotonic() > until:
                    LINK_CUTS.inc()
                    break
                for end in select.select(list(ends), [], [], _LOOK_SECONDS)[0]:
                    if not (chunk := end.recv(_CHUNK)):
                        return b"", 0
                    if delay_seconds:
                        time.sleep(delay_seconds)
                    if (left := left - len(chunk)) < 0:
                        LINK_CUTS.inc()
                        if end is near:
                            return chunk, int(left)
                        near.sendall(chunk[: int(left)])
                        return b"", 0
                    ends[end].sendall(chunk)
        return b"", 0


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def flaky(random: Random, mean_seconds: float) -> Callable[[], float]:
    """How long each connection lasts."""
    return lambda: random.expovariate(1 / mean_seconds)
