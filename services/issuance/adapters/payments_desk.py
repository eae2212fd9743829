"""Payments, asked for what should be in a till, and to post what differs. It may be away: then the shift stays open."""

from collections.abc import Iterable
from typing import Any, Final

import grpc
import structlog

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import ledger_pb2 as messages
from onecard.payments.v1.ledger_pb2_grpc import LedgerServiceStub
from onecard.payments.v1.outcomes_pb2 import Reason
from onecard.payments.v1.payments_pb2 import DECISION_DECLINED
from services.common.grpc.calls import asked_in
from services.common.grpc.channels import open_channel
from services.common.grpc.listen import Tls
from services.common.peer import Subject

log = structlog.get_logger()

SURPLUS: Final = "cash-surplus"
"""What tills held beyond what they should."""
SHORTAGE: Final = "cash-shortage"
"""What they lacked."""
_PATIENCE_SECONDS: Final = 3.0
_SUBJECT: Final = (("x-onecard-subject", "onecard://service/issuance"),)
"""Said in plain text, which is for one machine alone; a certificate says it otherwise."""

_SILENT: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""There is nobody to ask."""


class PaymentsAway(Exception):  # noqa: N818 - it is no error of anybody's
    """Payments did not answer: ask again with the same request id."""

    def __init__(self, *, alone: bool = False) -> None:
        """`alone`: it answered, and did not do this one thing; others it may do."""
        super().__init__()
        self.alone = alone


class PaymentsDesk:
    """A connection to payments, with the service's own certificate."""

    def __init__(self, address: str, tls: Tls | None, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._channel = open_channel(address, tls)
        self._metadata = None if tls else _SUBJECT
        self._stub = LedgerServiceStub(self._channel)
        self._patience_seconds = patience_seconds

    async def till_fen(self, terminal: str) -> int:
        """What should be in a terminal's till: its account owes what it has taken in. Raises PaymentsAway."""
        request = messages.GetAccountRequest(account=messages.AccountReference(name=cash_of(terminal)))
        try:
            return -int((await self._ask(self._stub.GetAccount, request)).account.balance_fen)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return 0
            raise _away(error, request) from None

    async def post_difference(self, request_id: str, terminal: str, difference_fen: int) -> str:
        """What was counted beyond what should be there, or less: from now on it should. A repeat changes nothing.

        Why it was declined; empty: it is posted. Raises PaymentsAway.
        """
        till = cash_of(terminal)
        debit, credit = (till, SURPLUS) if difference_fen > 0 else (SHORTAGE, till)
        amount = Money(amount_fen=abs(difference_fen))
        entries = [
            messages.PostEntry(account=messages.AccountReference(name=name), side=side, amount=amount)
            for name, side in ((debit, messages.SIDE_DEBIT), (credit, messages.SIDE_CREDIT))
        ]
        request = messages.PostRequest(request_id=request_id, entries=entries)
        try:
            answer = await self._post(request, (debit, credit))
        except grpc.aio.AioRpcError as error:
            raise _away(error, request) from None
        declined = answer.receipt.decision == DECISION_DECLINED
        return Reason.Name(answer.receipt.reason).removeprefix("REASON_") if declined else ""

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _post(self, request: messages.PostRequest, names: Iterable[str]) -> Any:
        """Accounts that have a name are opened when there is none yet; one that is there answers so, which is as good."""
        try:
            return await self._ask(self._stub.Post, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
        for name in names:
            await self._ask(self._stub.OpenAccount, messages.OpenAccountRequest(request_id=f"open-{name}", name=name))
        return await self._ask(self._stub.Post, request)

    async def _ask(self, call: Any, request: Any) -> Any:
        return await call(request, timeout=self._patience_seconds, metadata=self._metadata)


def cash_of(terminal: str) -> str:
    """The name of a terminal's cash account, under which the other services post what comes in and goes out, too."""
    return Subject.parse(terminal).cash_account


def _away(error: grpc.aio.AioRpcError, request: Any) -> PaymentsAway:
    log.warning("payments_away", code=error.code().name, asked=asked_in(request))
    return PaymentsAway(alone=error.code() not in _SILENT)
