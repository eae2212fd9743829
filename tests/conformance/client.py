"""What the suite knows of a ledger: the generated stubs, and nothing else."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1.ledger_pb2 import (
    SIDE_CREDIT,
    SIDE_DEBIT,
    Account,
    AccountReference,
    GetAccountRequest,
    ListTransfersRequest,
    ListTransfersResponse,
    OpenAccountRequest,
    OpenAccountResponse,
    PostEntry,
    PostRequest,
    Transfer,
)
from onecard.payments.v1.ledger_pb2_grpc import LedgerServiceStub
from onecard.payments.v1.payments_pb2 import DECISION_APPROVED, DECISION_DECLINED, Receipt

SECONDS = 60.0
"""How long a call may take, also one of many at once."""


@dataclass(frozen=True, slots=True)
class Caller:
    """How a caller says who it is: by its certificate or, in plain text on loopback, by its word."""

    certificate: Path | None = None
    key: Path | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The ledger under test."""

    address: str
    authority: Path | None
    """Of the server's certificate; None: plain text."""
    caller: Caller
    """Holds the back-office right and not the overdraft right."""
    overdraft_caller: Caller | None
    """Holds both."""
    metrics: Sequence[str] = ()
    """Prometheus endpoints, one a process."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that got no verdict."""

    code: str
    reason: str


@dataclass(slots=True)
class Ledger:
    """One connection to it, as one caller."""

    target: Target
    caller: Caller
    stub: Any = field(init=False)
    _channel: grpc.Channel = field(init=False)
    _metadata: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        self._metadata = (("x-onecard-subject", self.caller.subject),) if self.caller.subject else ()
        if self.target.authority is None:
            self._channel = grpc.insecure_channel(self.target.address, options)
        else:
            assert self.caller.certificate
            assert self.caller.key
            pem = [file.read_bytes() for file in (self.target.authority, self.caller.key, self.caller.certificate)]
            self._channel = grpc.secure_channel(self.target.address, grpc.ssl_channel_credentials(*pem), options)
        self.stub = LedgerServiceStub(self._channel)

    def wait_ready(self) -> None:
        grpc.channel_ready_future(self._channel).result(SECONDS)

    def close(self) -> None:
        self._channel.close()

    def begin(self, method: str, request: Any) -> Any:
        """A call under way."""
        return getattr(self.stub, method).future(request, timeout=SECONDS, metadata=self._metadata)

    # What is asked

    def open(self, name: str = "", request_id: str = "", **terms: Any) -> OpenAccountResponse:
        request = OpenAccountRequest(request_id=request_id or new_id("open"), name=name or new_id("account"), **terms)
        answer: OpenAccountResponse = self.begin("OpenAccount", request).result()
        return answer

    def opened(self, **terms: Any) -> int:
        """The number of a new account."""
        answer = self.open(**terms)
        assert answer.receipt.decision == DECISION_APPROVED, answer
        return answer.account_id

    def post(self, *entries: PostEntry, request_id: str = "") -> Receipt:
        return receipt_of(self.begin_to_post(*entries, request_id=request_id))

    def begin_to_post(self, *entries: PostEntry, request_id: str = "") -> Any:
        return self.begin("Post", PostRequest(request_id=request_id or new_id("post"), entries=entries))

    def move(self, debited: int, credited: int, fen: int, request_id: str = "") -> Receipt:
        """From one account to another."""
        return self.post(debit(debited, fen), credit(credited, fen), request_id=request_id)

    def account(self, account_id: int, as_of_ms: int = 0) -> Account:
        request = GetAccountRequest(account=AccountReference(account_id=account_id), as_of_ms=as_of_ms)
        answer: Account = self.begin("GetAccount", request).result().account
        return answer

    def balances(self, accounts: Iterable[int]) -> list[int]:
        return [self.account(account).balance_fen for account in accounts]

    def pages(self, page_size: int = 1000, account: int | None = None) -> Iterator[ListTransfersResponse]:
        """A listing of the journal, page by page."""
        token = ""
        while True:
            request = ListTransfersRequest(page_size=page_size, page_token=token)
            if account is not None:
                request.account.account_id = account
            page: ListTransfersResponse = self.begin("ListTransfers", request).result()
            yield page
            token = page.next_page_token
            if not token:
                return

    def transfers(self, page_size: int = 1000, account: int | None = None) -> list[Transfer]:
        return [transfer for page in self.pages(page_size, account) for transfer in page.transfers]


_run, _numbers = secrets.token_hex(4), count(1)


def new_id(what: str) -> str:
    """A name that this run, and every other one, uses once."""
    return f"{what}-{_run}-{next(_numbers)}"


def debit(account_id: int, fen: int, currency: str = "") -> PostEntry:
    return _entry(account_id, SIDE_DEBIT, fen, currency)


def credit(account_id: int, fen: int, currency: str = "") -> PostEntry:
    return _entry(account_id, SIDE_CREDIT, fen, currency)


def _entry(account_id: int, side: Any, fen: int, currency: str) -> PostEntry:
    amount = Money(amount_fen=fen, currency=currency)
    return PostEntry(account=AccountReference(account_id=account_id), side=side, amount=amount)


def receipt_of(call: Any) -> Receipt:
    """The receipt of a call that is under way."""
    receipt: Receipt = call.result().receipt
    assert receipt.decision in (DECISION_APPROVED, DECISION_DECLINED), receipt
    return receipt


def approved(receipt: Receipt) -> bool:
    return receipt.decision == DECISION_APPROVED


def refusal(call: Any) -> Refused:
    """How a call ends that gets no verdict: a status with a reason that programs can read."""
    error = call.exception()
    assert error is not None, f"it was answered: {call.result()}"
    details = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    assert details, f"{error.code()} comes without google.rpc.Status"
    status, info = Status.FromString(details[0]), ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "onecard"
    return Refused(error.code().name, info.reason)


def served(endpoint: str, method: str) -> float:
    """How many calls of a method a process has ended, by its Prometheus endpoint."""
    with urlopen(endpoint, timeout=10) as page:
        lines = page.read().decode().splitlines()
    counted = [line for line in lines if line.startswith("grpc_server_handled_total{") and f'grpc_method="{method}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in counted)
