"""LedgerService: what the back office asks."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import ledger_pb2 as messages
from onecard.payments.v1.ledger_pb2_grpc import LedgerServiceServicer
from onecard.payments.v1.outcomes_pb2 import TransactionIdentity
from services.common.clock import midnight_ms
from services.common.errors import Code, DomainError
from services.common.grpc.pages import read_token, write_token
from services.payments.adapters import requests
from services.payments.adapters.callers import BACK_OFFICE, OVERDRAFT, Caller
from services.payments.adapters.directory import Directory, Known, unknown_account
from services.payments.api import reading
from services.payments.api.desk import Desk
from services.payments.api.receipts import receipt_of, ruling_of
from services.payments.domain.account import AccountKind, AccountStatus, Purpose, Purse
from services.payments.domain.operation import Entry
from services.payments.domain.transfer import CNY, MOST_LEGS
from services.payments.handlers.balances import Balance, read_balances
from services.payments.handlers.list_transfers import Listed, Page, list_transfers

_MOST_ENTRIES: Final = MOST_LEGS
_NEXT_ACCOUNT: Final = text("select nextval('payments.back_office_account_id')")
_NEXT_PURSE: Final = text("select nextval('payments.purse_id')")
_STATUS: Final = {status.value: status for status in AccountStatus}


class LedgerService(LedgerServiceServicer):
    """Reads requests, asks the ledger, writes receipts. Everything here needs the back-office right."""

    def __init__(self, desk: Desk, engine: AsyncEngine, directory: Directory, purposes: Mapping[str, Purpose]) -> None:
        self._desk = desk
        self._engine = engine
        self._directory = directory
        self._purposes = purposes

    async def OpenAccount(self, request: messages.OpenAccountRequest, context: Any) -> messages.OpenAccountResponse:  # noqa: N802
        """Open a back-office account, or a purse bound to a purpose."""
        caller = await self._caller()
        bound = request.HasField("purse")
        if bound and (request.name or request.currency not in ("", "CNY")):
            raise reading.bad("name", "a purse has no name, and holds CNY")
        if not 0 <= request.overdraft_fen <= reading.MOST_FEN or (request.overdraft_fen and not request.guarded):
            raise reading.bad("overdraft_fen", "at least 0, and only a guarded account has one")
        currency = reading.CURRENCIES.get(request.currency)
        if currency is None:
            raise reading.bad("currency", f"the currencies are {', '.join(reading.CODES.values())}")
        request_id = reading.request_id(request.request_id)
        name = "" if bound else reading.account_name(request.name)
        account_id = await self._allocate(bound)
        operation = requests.open_account(
            caller.terminal,
            request_id,
            account_id,
            name=name,
            currency=currency,
            guarded=request.guarded or bound,
            overdraft_fen=request.overdraft_fen,
            purse=await self._purse(account_id, request.purse) if bound else None,
        )
        answer = await self._desk.ask(operation)
        return messages.OpenAccountResponse(receipt=receipt_of(answer), account_id=ruling_of(answer).account_id)

    async def SetAccountStatus(  # noqa: N802
        self, request: messages.SetAccountStatusRequest, context: Any
    ) -> messages.SetAccountStatusResponse:
        """Freeze, open again, or close an account."""
        caller = await self._caller()
        status = _STATUS.get(request.status)
        if status is None:
            raise reading.bad("status", "open, frozen or closed is wanted")
        account = await self._account(request.account)
        if not account.guarded:
            message = "an account that only accrues cannot be frozen or closed: postings do not look at it"
            raise DomainError(Code.FAILED_PRECONDITION, "NOT_GUARDED", message)
        request_id = reading.request_id(request.request_id)
        answer = await self._desk.ask(requests.set_account_status(caller.terminal, request_id, account.id, status))
        return messages.SetAccountStatusResponse(receipt=receipt_of(answer))

    async def Post(self, request: messages.PostRequest, context: Any) -> messages.PostResponse:  # noqa: N802
        """Post a balanced set of entries, all or none."""
        caller = await self._caller()
        entries, currency = await self._entries(request)
        operation = requests.post(
            caller.terminal,
            reading.request_id(request.request_id),
            entries,
            currency,
            event_time_ms=_service_date_ms(request.service_date),
            may_overdraw=OVERDRAFT in caller.rights,
        )
        return messages.PostResponse(receipt=receipt_of(await self._desk.ask(operation)))

    async def GetAccount(self, request: messages.GetAccountRequest, context: Any) -> messages.GetAccountResponse:  # noqa: N802
        """An account with its sums."""
        await self._caller()
        account = await self._account(request.account)
        as_of_ms = reading.instant_ms("as_of_ms", request.as_of_ms)
        found = await read_balances(self._engine, account.holder, as_of_ms)
        return messages.GetAccountResponse(account=_account(next(one for one in found if one.account_id == account.id)))

    async def ListTransfers(  # noqa: N802
        self, request: messages.ListTransfersRequest, context: Any
    ) -> messages.ListTransfersResponse:
        """The journal in commit order."""
        await self._caller()
        account_id = (await self._account(request.account)).id if request.HasField("account") else None
        size = reading.page_size(request.page_size, 500, 1000)
        listed, following = await list_transfers(self._engine, read_token(request.page_token, Page), size, account_id)
        return messages.ListTransfersResponse(
            transfers=[_transfer(one) for one in listed], next_page_token=write_token(following)
        )  # fmt: skip

    async def _caller(self) -> Caller:
        caller = await self._desk.caller()
        caller.needs(BACK_OFFICE)
        return caller

    async def _allocate(self, bound: bool) -> int:
        async with self._engine.begin() as connection:
            allocated: int = await connection.scalar(_NEXT_PURSE if bound else _NEXT_ACCOUNT) or 0
        return allocated

    async def _purse(self, account_id: int, terms: messages.PurseTerms) -> Purse:
        if terms.purpose not in self._purposes:
            raise reading.bad("purpose", f"the purposes are {', '.join(self._purposes) or 'none: the rules name no purpose'}")
        holder = await self._account(terms.holder)
        if holder.kind is not AccountKind.HOLDER:
            raise reading.bad("holder", "a purse belongs to a holder's account")
        fund = await self._account(terms.fund)
        if fund.guarded or fund.currency != CNY:
            raise reading.bad("fund", "an account in CNY that only accrues is wanted: it is credited without its lock")
        void_after_ms = reading.instant_ms("void_after_ms", terms.void_after_ms)
        return requests.new_purse(account_id, holder.id, terms.purpose, void_after_ms, fund.id)

    async def _account(self, reference: messages.AccountReference) -> Known:
        match reference.WhichOneof("reference"):
            case "account_id":
                return await self._directory.of_id(reference.account_id)
            case "name":
                return await self._directory.of_name(reading.account_name(reference.name))
            case "card_identifier":
                holder = await self._directory.of_card(reading.card_identifier(reference.card_identifier))
                return await self._directory.of_id(holder)
            case _:
                raise unknown_account()

    async def _entries(self, request: messages.PostRequest) -> tuple[tuple[Entry, ...], int]:
        """Balanced, of one currency, between accounts that hold it, each on one side. Raises DomainError otherwise."""
        if not 2 <= len(request.entries) <= _MOST_ENTRIES:
            raise reading.bad("entries", f"2 to {_MOST_ENTRIES} are wanted")
        entries: list[Entry] = []
        currencies: set[int] = set()
        sums: dict[tuple[int, bool], int] = {}
        for index, one in enumerate(request.entries):
            if one.side not in (messages.SIDE_DEBIT, messages.SIDE_CREDIT):
                raise reading.bad(f"entries[{index}].side", "debit or credit is wanted")
            amount_fen, currency = reading.fen_and_currency(one.amount, f"entries[{index}].amount")
            account = await self._account(one.account)
            debit = one.side == messages.SIDE_DEBIT
            entries.append(Entry(account.id, debit, amount_fen))
            currencies.add(currency)
            sums[currency, debit] = sums.get((currency, debit), 0) + amount_fen
            if account.currency != currency:
                raise _refused("CURRENCY_MISMATCH", f"entries[{index}]: the account holds {reading.CODES[account.currency]}")
        if len(currencies) > 1:
            raise _refused("MIXED_CURRENCIES", "one currency a set: post each currency by itself")
        (currency,) = currencies
        debits_fen, credits_fen = sums.get((currency, True), 0), sums.get((currency, False), 0)
        if debits_fen != credits_fen:
            raise _refused("UNBALANCED", f"debits are {debits_fen} fen, credits {credits_fen}")
        if both := {e.account_id for e in entries if e.debit} & {e.account_id for e in entries if not e.debit}:
            raise _refused("BOTH_SIDES", f"account {min(both)} stands on both sides")
        return tuple(entries), currency


def _refused(reason: str, message: str) -> DomainError:
    return DomainError(Code.INVALID_ARGUMENT, reason, message)


def _service_date_ms(day: str) -> int:
    """The beginning of the day; 0 for none."""
    return midnight_ms(reading.day("service_date", day)) if day else 0


def _account(balance: Balance) -> messages.Account:
    return messages.Account(
        account_id=balance.account_id,
        name=balance.name,
        currency=reading.CODES[balance.currency],
        status=balance.status,  # type: ignore[arg-type]  # numbers agree, a test holds it
        guarded=balance.guarded,
        overdraft_fen=balance.overdraft_fen,
        debits_posted_fen=balance.debits_fen,
        credits_posted_fen=balance.credits_fen,
        debits_pending_fen=balance.debits_pending_fen,
        credits_pending_fen=balance.credits_pending_fen,
        balance_fen=balance.balance_fen,
    )


def _transfer(listed: Listed) -> messages.Transfer:
    return messages.Transfer(
        transfer_id=listed.id.hex,
        batch_number=listed.batch,
        batch_row=listed.row,
        leg=listed.leg,
        code=listed.code,  # type: ignore[arg-type]  # numbers agree, a test holds it
        debit_account_id=listed.debit_account,
        credit_account_id=listed.credit_account,
        amount=Money(amount_fen=listed.amount_fen, currency=reading.CODES[listed.currency]),
        identity=TransactionIdentity(
            merchant_id=listed.merchant_id,
            terminal_id=listed.terminal_id,
            terminal_sequence=listed.sequence,
            request_id=listed.request_id,
        ),
        post_time_ms=listed.post_time_ms,
        event_time_ms=listed.event_time_ms,
        service_date=listed.service_date.isoformat(),
        posting_date=listed.posting_date.isoformat(),
    )
