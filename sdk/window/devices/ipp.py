"""What the commands of CUPS do not tell and cannot do, asked in its own protocol: a job's state, and that it be forgotten."""

from __future__ import annotations

import http.client
import socket
import struct
from typing import Final

CANCEL_JOB: Final = 0x0008
GET_JOB_ATTRIBUTES: Final = 0x0009
COMPLETED: Final = 9
GIVEN_UP: Final = (4, 7, 8)
"""Held, cancelled, aborted. Nobody here holds one: the service does, when it has failed and is to be tried again by itself."""

_VERSION: Final = 0x0200
_OPERATION, _END, _FIRST_VALUE = 1, 3, 0x10
_BOOLEAN, _KEYWORD, _NAME, _URI, _CHARSET, _LANGUAGE = 0x22, 0x44, 0x42, 0x45, 0x47, 0x48
_SUCCEEDED: Final = 0x00FF
_PORT: Final = 631
_MOST_BYTES: Final = 1 << 16


class IppError(Exception):
    """It does not answer, says no, or what it says is nonsense."""


class _Local(http.client.HTTPConnection):
    """Over the socket file of this machine."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def state_of(server: str, job: int, user: str, seconds: float) -> int:
    """`job-state`, as the standard numbers it."""
    wanted = _told(_KEYWORD, "requested-attributes", b"job-state")
    for name, value in _attributes(_ask(server, GET_JOB_ATTRIBUTES, job, user, wanted, seconds)):
        if name == b"job-state" and len(value) == 4:
            return int.from_bytes(value, "big")
    raise IppError("no state")


def purge(server: str, job: int, user: str, seconds: float) -> None:
    """Whether it has ended or not: neither its papers nor its data stay."""
    _ask(server, CANCEL_JOB, job, user, _told(_BOOLEAN, "purge-job", b"\1"), seconds)


def _ask(server: str, operation: int, job: int, user: str, more: bytes, seconds: float) -> bytes:
    """What follows the head of an answer that says yes."""
    head = struct.pack(">HHIB", _VERSION, operation, 1, _OPERATION)
    told = (
        _told(_CHARSET, "attributes-charset", b"utf-8"),
        _told(_LANGUAGE, "attributes-natural-language", b"en"),
        _told(_URI, "job-uri", f"ipp://localhost/jobs/{job}".encode()),
        _told(_NAME, "requesting-user-name", user.encode()),
        more,
    )
    connection = _connection(server, seconds)
    try:
        connection.request("POST", "/jobs/", head + b"".join(told) + bytes([_END]), {"Content-Type": "application/ipp"})
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise IppError(type(error).__name__) from None
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) < len(head) or int.from_bytes(body[2:4], "big") > _SUCCEEDED:
        raise IppError("it says no")
    return body[8:]


def _connection(server: str, seconds: float) -> http.client.HTTPConnection:
    """To what `lpstat -H` names: a socket file, or a host and a port."""
    if server.startswith("/"):
        return _Local(server, seconds)
    host, _, port = server.partition(":")
    try:
        return http.client.HTTPConnection(host, int(port or _PORT), timeout=seconds)
    except (ValueError, http.client.HTTPException):
        raise IppError("no such server") from None


def _told(tag: int, name: str, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(name)) + name.encode() + struct.pack(">H", len(value)) + value


def _attributes(body: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values; a further value of the same name has none."""
    found, at = [], 0
    while at < len(body) and body[at] != _END:
        if body[at] < _FIRST_VALUE:
            at += 1
            continue
        name_end = at + 3 + int.from_bytes(body[at + 1 : at + 3], "big")
        end = name_end + 2 + int.from_bytes(body[name_end : name_end + 2], "big")
        found.append((body[at + 3 : name_end], body[name_end + 2 : end]))
        at = end
    return found
