"""A bank that opens accounts while the applicant waits, asked over gRPC. No answer in time is no answer: the files follow."""

from typing import Final

import grpc
import structlog

from onecard.bank.v1 import accounts_pb2 as messages
from onecard.bank.v1.accounts_pb2_grpc import AccountServiceStub
from services.card.domain.bank_cause import BankCause
from services.card.domain.bank_file import OutgoingRow
from services.card.domain.bank_return import AccountOpened, AccountRefused, Answer, is_account
from services.common.grpc.channels import open_channel
from services.common.grpc.listen import Tls

log = structlog.get_logger()

_CAUSES: Final = {str(cause.value): cause for cause in BankCause}


class OnlineBank:
    """A connection to the bank, with the service's own certificate."""

    def __init__(self, address: str, tls: Tls | None, patience_seconds: float) -> None:
        self._channel = open_channel(address, tls)
        self._stub = AccountServiceStub(self._channel)
        self._patience_seconds = patience_seconds

    async def open_account(self, request_id: str, row: OutgoingRow) -> Answer | None:
        """The bank's answer; None: there was none in time, or none that can be read."""
        request = messages.OpenAccountRequest(
            request_id=request_id,
            application_id=row.application,
            document_kind=row.document_kind,
            document_number=row.document_number,
            name=row.name,
            sex=row.sex,
            birth_date=row.birth_date.isoformat(),
            phone=row.phone,
            product=row.product,
        )
        try:
            answer = await self._stub.OpenAccount(request, timeout=self._patience_seconds)
        except grpc.aio.AioRpcError as error:
            log.warning("bank_away", code=error.code().name)
            return None
        if is_account(answer.account):
            return AccountOpened(answer.account)
        if answer.cause in _CAUSES:
            return AccountRefused(_CAUSES[answer.cause])
        log.error("bank_answer_unreadable", application=row.application)
        return None

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()
