"""A free port on loopback."""

import os
import random
import socket
from itertools import cycle, islice

HOST = "127.0.0.1"
# Below the range that systems take for outgoing connections, so that nothing takes the port before its server does.
RANGE = range(*map(int, os.environ.get("ONECARD_PORTS", "20000:32000").split(":")))
"""Two runs side by side draw from a half each: a port that one has drawn and not bound yet looks free to the other."""

_shuffled = cycle(random.sample(RANGE, len(RANGE)))


def free_port() -> int:
    """A port that nobody listens on. Each is given out once: whoever got it may begin to listen much later."""
    for port in islice(_shuffled, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {RANGE.start} and {RANGE.stop} on {HOST}")


def listening(port: int) -> bool:
    """Does somebody accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
