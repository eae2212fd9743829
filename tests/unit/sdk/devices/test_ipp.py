"""The protocol of CUPS where the other side is away, refuses, or talks nonsense."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdk.window.devices.ipp import IppError, purge, state_of

Says = Callable[[bytes], str]
STATE = b"\x02\x23\x00\x09job-state\x00\x04\x00\x00\x00\x09\x03"
FINE = b"\x02\x00\x00\x00\x00\x00\x00\x01"


@pytest.fixture
def says(tmp_path: Path) -> Iterator[Says]:
    """A server on a socket file that answers once."""
    listening = socket.socket(socket.AF_UNIX)
    path = str(tmp_path / "cups.sock")
    listening.bind(path)
    listening.listen()
    threads: list[threading.Thread] = []

    def answer(what: bytes) -> None:
        connection, _ = listening.accept()
        with connection:
            asked = b""
            while not asked.endswith(b"\x03"):
                asked += connection.recv(4096)
            connection.sendall(what)

    def begin(what: bytes) -> str:
        threads.append(threading.Thread(target=answer, args=(what,)))
        threads[-1].start()
        return path

    yield begin
    for thread in threads:
        thread.join()
    listening.close()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_state_is_read(says: Says) -> None:
    assert state_of(says(http(FINE + STATE)), 7, "clerk", 5) == 9


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        http(b""),
        http(FINE),
        http(FINE + b"\x02\x23\xff\xff"),
        http(FINE + STATE.replace(b"\x00\x04\x00\x00\x00\x09", b"\x00\x02\x00\x09")),
        http(b"\x02\x00\x04\x06\x00\x00\x00\x01" + STATE),
        http(FINE + STATE, "403 Forbidden"),
    ],
)
def test_what_is_no_answer_is_no_state(says: Says, answer: bytes) -> None:
    with pytest.raises(IppError):
        state_of(says(answer), 7, "clerk", 5)


@pytest.mark.parametrize("server", ["/nowhere/cups.sock", "127.0.0.1:1", "127.0.0.1:port", "\n"])
def test_where_there_is_no_server_it_is_said(server: str) -> None:
    with pytest.raises(IppError):
        purge(server, 7, "clerk", 1)
