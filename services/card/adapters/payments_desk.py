"""Payments, asked over gRPC for what a holder has, and to post fees and remainders. It may be away: then one goes on."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import structlog

from onecard.money.v1.money_pb2 import Money as Amount
from onecard.payments.v1 import ledger_pb2 as ledger
from onecard.payments.v1 import payments_pb2 as messages
from onecard.payments.v1.ledger_pb2_grpc import LedgerServiceStub
from onecard.payments.v1.outcomes_pb2 import Reason
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from services.common.grpc.calls import asked_in
from services.common.grpc.channels import open_channel
from services.common.grpc.listen import Tls

log = structlog.get_logger()

_PATIENCE_SECONDS: Final = 1.0
_NOT_ASKED_SECONDS: Final = 1.0
"""When payments did not answer, so long no other window waits for it to do so."""
_SILENT: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_TO_ALL: Final = _SILENT | {
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}
"""Whatever is asked at this moment, the answer would be the same."""
_LAST_PAYMENTS: Final = 10
_A_PAGE: Final = 500
_SUBJECT: Final = (("x-onecard-subject", "onecard://service/card"),)
"""Said in plain text, which is for one machine alone; a certificate says it otherwise."""


@dataclass(frozen=True, slots=True)
class Money:
    """What a holder has, and what came and went last."""

    balance: messages.GetBalanceResponse
    entries: messages.ListEntriesResponse


class Away(Exception):  # noqa: N818 - it is no error of anybody's
    """Payments did not answer."""


class NotTakenError(Away):
    """It answered, and does not take this one; the next one may go well."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PaymentsDesk:
    """A connection to payments, with the service's own certificate."""

    def __init__(self, address: str, tls: Tls | None, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._channel = open_channel(address, tls)
        self._metadata = None if tls else _SUBJECT
        self._stub = PaymentsServiceStub(self._channel)
        self._ledger = LedgerServiceStub(self._channel)
        self._patience_seconds = patience_seconds
        self._away_until = 0.0

    async def money_of(self, card_identifier: str) -> Money | None:
        """Of the card's holder; None: payments has never heard of the card. Raises Away."""
        if time.monotonic() < self._away_until:
            raise Away
        balance = messages.GetBalanceRequest(card_identifier=card_identifier)
        entries = messages.ListEntriesRequest(card_identifier=card_identifier, page_size=_LAST_PAYMENTS)
        try:
            return Money(
                *await asyncio.gather(self._ask(self._stub.GetBalance, balance), self._ask(self._stub.ListEntries, entries))
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            if error.code() in _SILENT:
                self._away_until = time.monotonic() + _NOT_ASKED_SECONDS
            log.warning("payments_away", code=error.code().name)
            raise Away from None

    async def all_entries(self, card_identifier: str) -> list[messages.Entry]:
        """Everything that ever came and went, newest first. Raises Away."""
        found: list[messages.Entry] = []
        request = messages.ListEntriesRequest(card_identifier=card_identifier, page_size=_A_PAGE)
        while True:
            page = await self._ask_or_away(self._stub.ListEntries, request)
            found += page.entries
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def post(self, request_id: str, debit: str | int, credit: str | int, amount_fen: int) -> str:
        """Move money between accounts, by name or by holder; a repeat is answered with the first verdict.

        Answers why it was declined; empty: it was posted. Accounts that have a name are opened when there is none yet.
        Raises Away, and NotTakenError.
        """
        amount = Amount(amount_fen=amount_fen)
        sides = ((debit, ledger.SIDE_DEBIT), (credit, ledger.SIDE_CREDIT))
        entries = [ledger.PostEntry(account=_account(who), side=side, amount=amount) for who, side in sides]
        request = ledger.PostRequest(request_id=request_id, entries=entries)
        try:
            answer = await self._ask(self._ledger.Post, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise _away(error, request) from None
            await self._open(name for name in (debit, credit) if isinstance(name, str))
            answer = await self._ask_or_away(self._ledger.Post, request)
        declined = answer.receipt.decision == messages.DECISION_DECLINED
        return Reason.Name(answer.receipt.reason).removeprefix("REASON_") if declined else ""

    async def purse_of(self, holder: int) -> tuple[int, int]:
        """What a holder has, and what of it is held, in fen; nothing where payments does not know them. Raises as above."""
        try:
            answer = await self._ask(self._ledger.GetAccount, ledger.GetAccountRequest(account=_account(holder)))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return 0, 0
            raise _away(error, None) from None
        return answer.account.balance_fen, answer.account.debits_pending_fen

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _open(self, names: Iterable[str]) -> None:
        """One that is there already answers that its name is taken, which is as good."""
        for name in names:
            request = ledger.OpenAccountRequest(request_id=f"open-{name}", name=name)
            await self._ask_or_away(self._ledger.OpenAccount, request)

    async def _ask_or_away(self, call: Any, request: Any) -> Any:
        try:
            return await self._ask(call, request)
        except grpc.aio.AioRpcError as error:
            raise _away(error, request) from None

    async def _ask(self, call: Any, request: Any) -> Any:
        return await call(request, timeout=self._patience_seconds, metadata=self._metadata)


def _away(error: grpc.aio.AioRpcError, request: Any) -> Away:
    if error.code() not in _TO_ALL:
        return NotTakenError(error.code().name)
    log.warning("payments_away", code=error.code().name, asked=asked_in(request))
    return Away()


def _account(who: str | int) -> ledger.AccountReference:
    return ledger.AccountReference(name=who) if isinstance(who, str) else ledger.AccountReference(account_id=who)
