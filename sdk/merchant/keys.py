"""What terminals sign with: fetched over a connection, kept in a file, and good for as long as there is no other one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import grpc

from onecard.payments.v1.terminal_keys_pb2 import GetTerminalKeysRequest
from onecard.payments.v1.terminal_keys_pb2_grpc import TerminalKeyServiceStub
from sdk.merchant.access import Access, Line
from sdk.merchant.key_file import Place, read_keys, write_keys
from sdk.merchant.transaction import SignedRecord, Tap, TerminalKey, sign

log = logging.getLogger("onecard.merchant")

PATIENCE_SECONDS = 5.0
REFUSALS = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT})
"""Asked again the platform would say the same."""


class NoKeyError(Exception):
    """A terminal has nothing to sign with: it has never been connected. The message says what is in the way."""


class Missing(NamedTuple):
    """Why a terminal has no key."""

    reason: str
    final: bool
    """Asked again the platform would say the same; otherwise it was not to be reached."""


class TerminalKeys:
    """Keys of the terminals of a spool. Its methods may be called from several threads."""

    def __init__(self, path: Path, access: Access) -> None:
        """Read what was kept in the file. Raises KeyFileError."""
        self._path = path
        self._access = access
        self._lock = threading.Lock()
        self._keys = read_keys(path)

    def sign(self, tap: Tap, terminal_sequence: int) -> SignedRecord:
        """The record of a tap, signed with its terminal's key of this moment. Raises NoKeyError."""
        return sign(tap, terminal_sequence, self.key_of(tap.merchant_id, tap.terminal_id))

    def key_of(self, merchant_id: str, terminal_id: str) -> TerminalKey:
        """That of the newest epoch whose time has come by our clock. Raises NoKeyError."""
        keys = self._keys.get((merchant_id, terminal_id))
        if not keys:
            raise NoKeyError(f"the terminal {terminal_id} of {merchant_id} has no key yet: it must be connected once")
        now_ms = time.time_ns() // 1_000_000
        # A clock that is far behind would have none at all: the oldest still proves who signs.
        return next((key for key in reversed(keys) if key.valid_from_ms <= now_ms), keys[0])

    def fetch(self, places: Iterable[Place]) -> dict[Place, Missing]:
        """Ask for the keys of terminals that have none yet; answers those that have none still, and why. Raises OSError."""
        wanted: dict[str, list[Place]] = {}
        for place in dict.fromkeys(places):
            if place not in self._keys:
                wanted.setdefault(place[0], []).append(place)
        missing: dict[Place, Missing] = {}
        for merchant_id, some in wanted.items():
            if not self._access.has(merchant_id):
                missing |= dict.fromkeys(some, Missing(f"nobody gave us a certificate of {merchant_id}", True))
                continue
            line = self._access.connect(merchant_id)
            try:
                missing |= self._ask(line, some)
            finally:
                line.channel.close()
        return missing

    def renew(self, merchant_id: str, line: Line, ending: Callable[[], bool] = lambda: False) -> None:
        """Ask again for all keys of a merchant's terminals; those that nothing is heard of stay as they are."""
        ours = [place for place in tuple(self._keys) if place[0] == merchant_id]
        try:
            missing = self._ask(line, ours, ending)
        except OSError as error:
            log.warning("the keys of %s were not kept (%s)", merchant_id, error)
            return
        if missing:
            (_, terminal_id), (reason, _) = next(iter(missing.items()))
            log.warning(
                "%s terminals of %s keep the keys that they have; %s: %s", len(missing), merchant_id, terminal_id, reason
            )

    def _ask(self, line: Line, places: list[Place], ending: Callable[[], bool] = lambda: False) -> dict[Place, Missing]:
        stub = TerminalKeyServiceStub(line.channel)
        missing: dict[Place, Missing] = {}
        fetched: dict[Place, tuple[TerminalKey, ...]] = {}
        for number, place in enumerate(places):
            if ending():
                break
            try:
                request = GetTerminalKeysRequest(terminal_id=place[1])
                answer = stub.GetTerminalKeys(request, metadata=line.metadata, timeout=PATIENCE_SECONDS)
            except grpc.RpcError as error:
                why = Missing(f"{error.code().name}: {error.details()}", error.code() in REFUSALS)
                if why.final:
                    missing[place] = why
                    continue
                missing |= dict.fromkeys(places[number:], why)
                break
            keys = sorted(
                (TerminalKey(key.epoch, key.key, key.valid_from_ms) for key in answer.keys), key=lambda key: key.epoch
            )
            if keys:
                fetched[place] = tuple(keys)
            else:
                missing[place] = Missing("no epoch counts", False)
        self._keep(fetched)
        return missing

    def _keep(self, fetched: dict[Place, tuple[TerminalKey, ...]]) -> None:
        with self._lock:
            keys = {**self._keys, **fetched}
            if keys != self._keys:
                write_keys(self._path, keys)
                self._keys = keys
