"""A bank's return file: read by itself first, then held against what was sent."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from stdnum import luhn

from services.card.domain.bank_cause import BankCause, ReturnFault, RowFault
from services.card.domain.bank_file import HEADER_MARK, RETURN, RETURN_HEADER, RETURN_ROW, ROW_MARK, Rendering, read_line

ACCEPTED: Final = "1"
REFUSED: Final = "2"
NO_CAUSE: Final = "000"
_ACCOUNT: Final = re.compile(r"[1-9][0-9]{15,18}")
_BEGINS: Final = {
    Rendering.FIXED: f"{HEADER_MARK}{RETURN}".encode(),
    Rendering.PIPE: f"{HEADER_MARK}|{RETURN}|".encode(),
}


def is_account(text: str) -> bool:
    """Whether it can be the number of an account."""
    return bool(_ACCOUNT.fullmatch(text)) and luhn.is_valid(text)


@dataclass(frozen=True, slots=True)
class ReturnRow:
    """One row as the bank wrote it; its last three fields are not judged yet, and none of them is ever shown."""

    row: int
    application: int
    document_number: str = field(repr=False)
    name: str = field(repr=False)
    verdict: str = field(repr=False)
    account: str = field(repr=False)
    cause: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Return:
    """A return that agrees with its own header."""

    city: str
    bank: str
    batch: int
    number: int
    """The bank's own, of this return."""
    date: date
    rows: tuple[ReturnRow, ...]


@dataclass(frozen=True, slots=True)
class ReturnRefused:
    """Nothing of the return is taken."""

    fault: ReturnFault
    line: int = 1
    """From 1, which is the header."""


def decode_return(data: bytes, rendering: Rendering) -> Return | ReturnRefused:
    """Read a return and hold it against its header. Lines end with LF or CRLF, the last one may end without."""
    header, *lines = [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]
    if not header.startswith(_BEGINS[rendering]):
        return ReturnRefused(ReturnFault.LAYOUT_UNKNOWN)
    texts = read_line(RETURN_HEADER, header, rendering)
    day = _day(texts["date"]) if texts else None
    if texts is None or day is None:
        return ReturnRefused(ReturnFault.HEADER_UNREADABLE)
    rows: dict[int, ReturnRow] = {}
    for number, line in enumerate(lines, 2):
        row = _row(line, rendering)
        if row is None:
            return ReturnRefused(ReturnFault.ROW_UNREADABLE, number)
        if row.row in rows:
            return ReturnRefused(ReturnFault.ROW_TWICE, number)
        rows[row.row] = row
    if len(rows) != int(texts["count"]):
        return ReturnRefused(ReturnFault.COUNT_DIFFERS)
    if sum(row.verdict == ACCEPTED for row in rows.values()) != int(texts["accepted"]):
        return ReturnRefused(ReturnFault.ACCEPTED_DIFFERS)
    if sum(row.application for row in rows.values()) != int(texts["total"]):
        return ReturnRefused(ReturnFault.TOTAL_DIFFERS)
    return Return(
        texts["city"], texts["bank"], int(texts["batch"]), int(texts["return_number"]), day, tuple(rows.values())
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The bank accepts, and has opened an account for the card."""

    account: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountRefused:
    """The bank opens no account."""

    cause: BankCause


Answer = AccountOpened | AccountRefused


@dataclass(frozen=True, slots=True)
class SentRow:
    """A row as it was sent, and the first valid answer to it, if there is one."""

    application: int
    document_number: str = field(repr=False)
    name: str = field(repr=False)
    answer: Answer | None = None
    account: str = field(repr=False, default="")
    """The one that the bank had accepted beforehand; empty: none."""


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A batch as it was sent, its rows by their numbers."""

    city: str
    bank: str
    number: int
    rows: Mapping[int, SentRow]


@dataclass(frozen=True, slots=True)
class ReturnVerdicts:
    """What a return comes to, by the numbers of its rows."""

    answers: Mapping[int, Answer]
    """The first valid answer of each of these rows: to be kept."""
    repeats: tuple[int, ...]
    """They say again what is known: no effect."""
    refused: Mapping[int, RowFault]
    """For a clerk's work list; their applications stay as they are."""
    waiting: tuple[int, ...]
    """Rows of the batch that still have no answer: a later return brings it."""


def match_return(sent: SentBatch | None, returned: Return) -> ReturnVerdicts | ReturnRefused:
    """Hold a return against its batch; None: no such batch was sent. The caller keeps the batch locked meanwhile."""
    if sent is None or sent.number != returned.batch:
        return ReturnRefused(ReturnFault.BATCH_UNKNOWN)
    if (sent.city, sent.bank) != (returned.city, returned.bank):
        return ReturnRefused(ReturnFault.BANK_DIFFERS)
    shared = _shared_accounts(sent, returned.rows)
    answers: dict[int, Answer] = {}
    repeats: list[int] = []
    refused: dict[int, RowFault] = {}
    for row in returned.rows:
        match _judge(sent.rows.get(row.row), row, shared):
            case RowFault() as fault:
                refused[row.row] = fault
            case None:
                repeats.append(row.row)
            case answer:
                answers[row.row] = answer
    waiting = tuple(number for number, row in sent.rows.items() if row.answer is None and number not in answers)
    return ReturnVerdicts(answers, tuple(repeats), refused, waiting)


def _judge(sent: SentRow | None, row: ReturnRow, shared: frozenset[str]) -> Answer | RowFault | None:
    """The row's answer; None: it is known already."""
    if sent is None or sent.application != row.application:
        return RowFault.UNKNOWN_ROW
    if sent.document_number != row.document_number:
        return RowFault.NUMBER_MISMATCH
    if sent.name != row.name:
        return RowFault.NAME_MISMATCH
    answer = _answer(row)
    if isinstance(answer, RowFault):
        return answer
    if answer == sent.answer:
        return None
    if sent.answer is not None:
        return RowFault.CONFLICT
    if sent.account and isinstance(answer, AccountOpened) and answer.account != sent.account:
        return RowFault.ACCOUNT_DIFFERS
    return RowFault.ACCOUNT_SHARED if row.account in shared else answer


def _answer(row: ReturnRow) -> Answer | RowFault:
    """What the row says, by itself."""
    if row.verdict == ACCEPTED and row.cause == NO_CAUSE:
        return AccountOpened(row.account) if is_account(row.account) else RowFault.ACCOUNT_INVALID
    cause = _CAUSES.get(row.cause)
    if row.verdict != REFUSED or row.account or cause is None:
        return RowFault.ANSWER_UNCLEAR
    return AccountRefused(cause)


_CAUSES: Final = {str(cause.value): cause for cause in BankCause}


def _shared_accounts(sent: SentBatch, rows: Sequence[ReturnRow]) -> frozenset[str]:
    """Accounts that stand at two rows of a batch, earlier answers included."""
    owners: defaultdict[str, set[int]] = defaultdict(set)
    for number, row in sent.rows.items():
        if isinstance(row.answer, AccountOpened):
            owners[row.answer.account].add(number)
    for returned in rows:
        if returned.account:
            owners[returned.account].add(returned.row)
    return frozenset(account for account, numbers in owners.items() if len(numbers) > 1)


def _row(line: bytes, rendering: Rendering) -> ReturnRow | None:
    texts = read_line(RETURN_ROW, line, rendering)
    if texts is None or texts["record"] != ROW_MARK:
        return None
    return ReturnRow(
        int(texts["row"]), int(texts["application"]), texts["document_number"], texts["name"],
        texts["verdict"], texts["account"], texts["cause"],
    )  # fmt: skip


def _day(digits: str) -> date | None:
    try:
        return date.fromisoformat(digits)
    except ValueError:
        return None
