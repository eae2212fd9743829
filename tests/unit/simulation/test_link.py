"""A link passes on what is sent, in order, and breaks when it is told to, or when its time is over."""

import socket
import threading
from collections.abc import Iterator

import pytest

from simulation.link import Link


@pytest.fixture
def echo() -> Iterator[str]:
    """An address where everything comes back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(end: socket.socket) -> None:
        with end:
            while chunk := end.recv(4096):
                end.sendall(chunk)

    def listen() -> None:
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(end,), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def connect(link: Link) -> socket.socket:
    host, _, port = link.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def read(end: socket.socket, count: int) -> bytes:
    heard = b""
    while len(heard) < count and (chunk := end.recv(65536)):
        heard += chunk
    return heard


def test_what_is_sent_arrives_in_order(echo: str) -> None:
    link = Link(echo, delay_seconds=lambda: 0.001)
    sent = bytes(range(256)) * 200
    with connect(link) as end:
        end.sendall(sent)
        assert read(end, len(sent)) == sent
    link.close()


def test_a_cut_ends_what_was_open_and_nothing_later(echo: str) -> None:
    link = Link(echo)
    with connect(link) as end:
        end.sendall(b"before")
        assert read(end, 6) == b"before"
        link.cut()
        assert read(end, 1) == b""
    with connect(link) as end:
        end.sendall(b"behind")
        assert read(end, 6) == b"behind"
    link.close()


def test_a_connection_lasts_its_time(echo: str) -> None:
    link = Link(echo, lasts_seconds=lambda: 0.0)
    with connect(link) as end:
        assert read(end, 1) == b""
    link.close()


def test_a_connection_breaks_in_the_middle_of_what_is_sent(echo: str) -> None:
    link = Link(echo, lasts_bytes=lambda: 150)
    with connect(link) as end:
        end.sendall(bytes(100))
        assert read(end, 100) == bytes(50)
    link.close()


def test_what_a_broken_connection_had_on_its_way_arrives_behind_a_newer_one() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ends = iter((4.0, float("inf")))
    lates = iter((2.0, 0.0))
    link = Link(f"127.0.0.1:{listener.getsockname()[1]}", lasts_bytes=lambda: next(ends), late_seconds=lambda: next(lates))
    with connect(link) as first:
        far_first, _ = listener.accept()
        first.sendall(b"older message")
        assert read(first, 1) == b""
    with connect(link) as second, far_first:
        far_second, _ = listener.accept()
        second.sendall(b"newer")
        with far_second:
            assert read(far_second, 5) == b"newer"
        assert read(far_first, 100) == b"older message"
    link.close()
    listener.close()
