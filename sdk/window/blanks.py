"""A window that asks issuance about blanks, second signatures and the end of its shift, for whoever is signed in there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.blanks_pb2_grpc import BlankServiceStub, CountersignServiceStub, ShiftServiceStub
from onecard.issuance.v1.issuance_pb2 import Refusal
from sdk.asking import new_request_id
from sdk.window.terminal import Terminal

_PART: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BlanksAnswer:
    """What came of a write: all that were named were moved, or none."""

    request_id: str
    count: int
    refusal: Refusal | None
    serials: tuple[str, ...]
    """Of those that do not fit."""
    countersignature_id: int
    """Of the second person's signature that it waits for: ask again with the same request id then; 0: none."""

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.refusal is None

    @classmethod
    def of(cls, request_id: str, moved: messages.BlanksMoved) -> BlanksAnswer:
        """From the message that came."""
        return cls(
            request_id=request_id,
            count=moved.count,
            refusal=moved.refusal if moved.HasField("refusal") else None,
            serials=tuple(moved.serials),
            countersignature_id=moved.countersignature_id,
        )


@dataclass(frozen=True, slots=True)
class Delivered:
    """A box that was received; or everything that is wrong with its file."""

    moved: BlanksAnswer
    box: str
    product: str
    faults: tuple[messages.DeliveryFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftAnswer:
    """How a shift stands by the books, against what was counted."""

    request_id: str
    shift_count_id: int
    balance: messages.ShiftBalance | None
    closed: bool = False
    refusal: Refusal | None = None
    countersignature_id: int = 0


class Blanks(Terminal):
    """Blanks, countersignatures and shifts, at the terminal where somebody is signed in. Serials are those on the plastic."""

    TOKEN = "x-onecard-shift"  # noqa: S105 - its name, no token

    @cached_property
    def _blanks(self) -> BlankServiceStub:
        return BlankServiceStub(self._channel)

    @cached_property
    def _countersign(self) -> CountersignServiceStub:
        return CountersignServiceStub(self._channel)

    @cached_property
    def _shifts(self) -> ShiftServiceStub:
        return ShiftServiceStub(self._channel)

    # What a keeper does

    def receive(self, delivery: bytes, *, request_id: str = "") -> Delivered:
        """A box, as the supplier's file has it; whole or not at all."""
        asked = request_id or new_request_id()

        def send(request: None, **how: Any) -> Any:
            return self._blanks.ReceiveDelivery(_parts(delivery, asked), **how)

        answer = self._asking.ask(send, None, asked)
        return Delivered(BlanksAnswer.of(asked, answer.moved), answer.box, answer.product, tuple(answer.faults))

    def assign(self, first: str, last: str, place: str, *, request_id: str = "") -> BlanksAnswer:
        """From the depot into the hands of a terminal, named by its certificate's subject."""
        request = messages.AssignBlanksRequest(range=_range(first, last), place=place)
        return self._move(self._blanks.AssignBlanks, request, request_id)

    def take_back(self, first: str, last: str, *, request_id: str = "") -> BlanksAnswer:
        """To the depot: spoiled ones, or unused ones."""
        return self._move(self._blanks.ReturnBlanks, messages.ReturnBlanksRequest(range=_range(first, last)), request_id)

    def destroy(self, serials: Sequence[str], *, request_id: str = "") -> BlanksAnswer:
        """By two people."""
        return self._move(self._blanks.DestroyBlanks, messages.DestroyBlanksRequest(serials=serials), request_id)

    # What everybody does who has blanks

    def transfer(self, first: str, last: str, destination: str, *, request_id: str = "") -> BlanksAnswer:
        """Given away here; to a terminal, or DEPOT."""
        request = messages.TransferBlanksRequest(range=_range(first, last), destination=destination)
        return self._move(self._blanks.TransferBlanks, request, request_id)

    def confirm_transfer(self, first: str, last: str, *, request_id: str = "") -> BlanksAnswer:
        """They have arrived here."""
        request = messages.ConfirmTransferRequest(range=_range(first, last))
        return self._move(self._blanks.ConfirmTransfer, request, request_id)

    def spoil(self, serial: str, reason: str, *, request_id: str = "") -> BlanksAnswer:
        """Good for nothing; by two people."""
        return self._move(self._blanks.SpoilBlank, messages.SpoilBlankRequest(serial=serial, reason=reason), request_id)

    def report_missing(self, serials: Sequence[str], incident: str, *, request_id: str = "") -> BlanksAnswer:
        """Not where they should be; by two people. They make no card any more."""
        request = messages.ReportMissingRequest(serials=serials, incident=incident)
        return self._move(self._blanks.ReportMissing, request, request_id)

    def report_found(self, serials: Sequence[str], incident: str, *, request_id: str = "") -> BlanksAnswer:
        """Found again; by two people. They go back to the depot, to be destroyed."""
        request = messages.ReportFoundRequest(serials=serials, incident=incident)
        return self._move(self._blanks.ReportFound, request, request_id)

    def count_stock(self, place: str = "") -> Sequence[messages.Stock]:
        """How many, by place, product and state."""
        stock: Sequence[messages.Stock] = self._asking.ask(
            self._blanks.CountStock, messages.CountStockRequest(place=place)
        ).stock
        return stock

    def list_blanks(self, *, place: str = "", state: str = "") -> Iterator[messages.Blank]:
        """At a place, by default here; `state` ASSIGNED, SPOILED, …, by default all."""
        request = messages.ListBlanksRequest(place=place, state=f"BLANK_STATE_{state.upper() or 'UNSPECIFIED'}")
        return self._pages(self._blanks.ListBlanks, request, "blanks")

    def get_blank(self, serial: str) -> messages.GetBlankResponse:
        """One, with all that happened to it."""
        answer: messages.GetBlankResponse = self._asking.ask(self._blanks.GetBlank, messages.GetBlankRequest(serial=serial))
        return answer

    # A second person's signature

    def list_countersignatures(self) -> Sequence[messages.Countersignature]:
        """What waits at this outlet, oldest first."""
        asked = self._asking.ask(self._countersign.ListCountersignatures, messages.ListCountersignaturesRequest())
        waiting: Sequence[messages.Countersignature] = asked.waiting
        return waiting

    def countersign(self, countersignature_id: int, *, sign: bool = True, reason: str = "") -> Refusal | None:
        """Sign or reject; a rejection says why. None: it was done."""
        request = messages.DecideCountersignatureRequest(
            countersignature_id=countersignature_id, sign=sign, reason=reason
        )  # fmt: skip
        answer = self._asking.ask_once(self._countersign.DecideCountersignature, request)
        return answer.refusal if answer.HasField("refusal") else None

    # The end of a shift

    def count_shift(
        self, *, unused: int, spoiled: int = 0, lying: int = 0, cash_fen: int = 0, request_id: str = ""
    ) -> ShiftAnswer:
        """What was counted; only then the answer shows what should be there."""
        request = messages.CountShiftRequest(unused=unused, spoiled=spoiled, lying=lying, cash_fen=cash_fen)
        answer = self._write(self._shifts.CountShift, request, request_id)
        return ShiftAnswer(request_id=request.request_id, shift_count_id=answer.shift_count_id, balance=answer.balance)

    def close_shift(self, shift_count_id: int, *, reason: str = "", request_id: str = "") -> ShiftAnswer:
        """As it was counted; a difference in cash has a reason, and a second signature."""
        request = messages.CloseShiftRequest(shift_count_id=shift_count_id, reason=reason)
        answer = self._write(self._shifts.CloseShift, request, request_id)
        return ShiftAnswer(
            request_id=request.request_id,
            shift_count_id=shift_count_id,
            balance=answer.balance if answer.HasField("balance") else None,
            closed=answer.closed,
            refusal=answer.refusal if answer.HasField("refusal") else None,
            countersignature_id=answer.countersignature_id,
        )

    def _move(self, ask: Any, request: Any, request_id: str) -> BlanksAnswer:
        answer = self._write(ask, request, request_id)
        return BlanksAnswer.of(request.request_id, answer.moved)


def _parts(delivery: bytes, request_id: str) -> Iterator[messages.ReceiveDeliveryRequest]:
    for begin in range(0, max(1, len(delivery)), _PART):
        part = delivery[begin : begin + _PART]
        yield messages.ReceiveDeliveryRequest(request_id="" if begin else request_id, part=part)


def _range(first: str, last: str) -> messages.SerialRange:
    return messages.SerialRange(first=first, last=last or first)
