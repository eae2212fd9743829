"""One merchant's stream of outcomes, in a thread of its own, which comes back by itself."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import grpc

from onecard.payments.v1.outcome_service_pb2 import BEGIN_NOW, BEGIN_OLDEST, SubscribeRequest, SubscribeResponse
from onecard.payments.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from onecard.payments.v1.outcomes_pb2 import Outcome as OutcomeMessage
from sdk.merchant.access import Access, Line
from sdk.merchant.spool import Outcome

SILENCE_SECONDS = 15.0
"""The platform says each 5 s that a stream lives; one that is silent for longer leads nowhere any more."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
RENEW_SECONDS = 6 * 3600.0
"""A connection may stand for weeks: the keys of its terminals are renewed so often meanwhile."""
NEVER = float("inf")


class Heard(NamedTuple):
    """What came at once over a stream."""

    merchant_id: str
    outcomes: list[Outcome]
    cursor: bytes
    """Behind them: a later subscription goes on from there."""
    another_life: bool
    """The platform's road has lost what it kept: emit again what has no outcome."""


Renew: TypeAlias = Callable[[str, Line, Callable[[], bool]], None]
"""Renews the keys of a merchant's terminals over a line, until it is to end."""


class Subscription:
    """Begins behind a cursor, or with what comes from now on; ends only when it is closed."""

    def __init__(
        self,
        access: Access,
        merchant_id: str,
        cursor: bytes | None,
        hand_over: Callable[[Heard], None],
        renew: Renew | None = None,
    ) -> None:
        """`hand_over` is called in the subscription's thread, and may block it: the platform waits then.

        `renew` is called there too, at each connection and every few hours.
        """
        self.merchant_id = merchant_id
        self.begun_at = time.monotonic()
        self.down_since: float | None = self.begun_at
        """Since when there is no stream; None while it stands."""
        self.trouble = "no answer"
        """Why there is none."""
        self._silent_since = self.begun_at
        self._access = access
        self._cursor = cursor or b""
        self._begin = BEGIN_NOW
        self._hand_over = hand_over
        self._renew = renew or (lambda *_: None)
        self._renewed_at = self.begun_at
        self._call: grpc.Call | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"outcomes of {merchant_id}", daemon=True)
        self._thread.start()

    def look_after(self) -> None:
        """End a stream that is silent; it begins anew behind what was heard. To be called now and then."""
        call = self._call
        if call is not None and time.monotonic() - self._silent_since > SILENCE_SECONDS:
            call.cancel()

    def ask_to_end(self) -> None:
        """Begin no other stream, and end this one; do not wait."""
        self._ending.set()
        if (call := self._call) is not None:
            call.cancel()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ending.is_set():
            cursor = self._cursor
            try:
                self._listen()
            except grpc.RpcError as error:
                self._note(error)
            except OSError as error:
                self.trouble = str(error)
            self.down_since = self.down_since or time.monotonic()
            pause = FIRST_PAUSE_SECONDS if self._cursor != cursor else min(pause * 2, LONGEST_PAUSE_SECONDS)
            # When a server ends, not all come back at the same instant.
            self._ending.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def _listen(self) -> None:
        line = self._access.connect(self.merchant_id)
        channel, metadata = line
        try:
            self._renew_keys(line)
            self._silent_since = time.monotonic()
            request = SubscribeRequest(cursor=self._cursor, begin=self._begin)
            self._call = call = OutcomeServiceStub(channel).Subscribe(request, metadata=metadata)
            if self._ending.is_set():
                call.cancel()
            for response in call:
                self.down_since = None
                self._silent_since = NEVER  # while we have the word ourselves
                self._hear(response)
                if time.monotonic() - self._renewed_at > RENEW_SECONDS:
                    self._renew_keys(line)
                self._silent_since = time.monotonic()
        finally:
            self._call = None
            channel.close()

    def _renew_keys(self, line: Line) -> None:
        self._renewed_at = time.monotonic()
        self._renew(self.merchant_id, line, self._ending.is_set)

    def _hear(self, response: SubscribeResponse) -> None:
        outcomes = [outcome_of(outcome) for outcome in response.outcomes if not outcome.identity.request_id]
        self._hand_over(Heard(self.merchant_id, outcomes, response.cursor, response.another_life))
        self._cursor = response.cursor

    def _note(self, error: grpc.RpcError) -> None:
        self.trouble = f"{error.code().name}: {error.details()}"
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT and self._cursor:
            # The platform cannot read what it wrote itself once: with the oldest nothing is missed.
            self._cursor, self._begin = b"", BEGIN_OLDEST


def outcome_of(message: OutcomeMessage) -> Outcome:
    """The plain value of an outcome's message."""
    identity = message.identity
    return Outcome(
        identity.merchant_id,
        identity.terminal_id,
        identity.terminal_sequence,
        message.body_digest,
        message.revision,
        message.verdict,
        message.reason,
        message.fare.amount_fen,
        message.charged.amount_fen,
        message.batch_number,
        message.batch_row,
        message.decide_time_ms,
    )
