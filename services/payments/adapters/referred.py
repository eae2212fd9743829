"""What operations refer to, read before their accounts are locked, because it never changes."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import asyncpg

from services.payments.adapters.payments import read_owners, read_rulings
from services.payments.domain.account import FIRST_PURSE_ACCOUNT
from services.payments.domain.operation import (
    Adjust,
    Admit,
    Authorize,
    Capture,
    Expire,
    OpenAccount,
    Operation,
    Post,
    Refund,
    Reserve,
    Ruling,
    SetAccountStatus,
    TopUp,
    Void,
)

_OWNERS: Final = "select owner from payments.account where id = any($1::bigint[])"
_NAMES: Final = "select name from payments.account where name = any($1::text[])"


class Referred(NamedTuple):
    """Accounts, payments, and the names of payments."""

    accounts: set[int]
    payments: set[bytes]
    names: set[tuple[int, str]]
    """Of payments."""
    rulings: Mapping[tuple[int, str], Ruling]
    """Those that the names have."""


async def read_referred(driver: "asyncpg.Connection[Any]", operations: Iterable[Operation]) -> Referred:
    """Whose accounts must be locked for these operations, and what is known of the payments that they name."""
    accounts: set[int] = set()
    payments: set[bytes] = set()
    names: set[tuple[int, str]] = set()
    for operation in operations:
        match operation:
            case Authorize() | Adjust() | Admit():
                pass
            case Reserve():
                accounts.add(operation.terms.places_account)
            case TopUp() | SetAccountStatus():
                accounts.add(operation.account_id)
            case Post():
                accounts.update(entry.account_id for entry in operation.entries)
            case OpenAccount():
                if operation.purse is not None:
                    accounts.add(operation.purse.owner)
            case Capture() | Void() | Refund() | Expire():
                if operation.reference.payment is not None:
                    payments.add(operation.reference.payment)
                else:
                    names.add((operation.request.caller.number, operation.reference.authorize_request_id))
    rulings = await read_rulings(driver, list(names)) if names else {}
    payments |= {ruling.payment for ruling in rulings.values() if ruling.payment is not None}
    if payments:
        accounts |= await read_owners(driver, payments)
    if purses := [account for account in accounts if account >= FIRST_PURSE_ACCOUNT]:
        accounts.update(row[0] for row in await driver.fetch(_OWNERS, purses))
    return Referred(accounts, payments, names, rulings)


async def taken_names(driver: "asyncpg.Connection[Any]", operations: Iterable[Operation]) -> set[str]:
    """Read before the batch gets its number: one that is taken stands before it in the journal. The others are held unique."""
    names = [operation.name for operation in operations if isinstance(operation, OpenAccount) and operation.name]
    return {row[0] for row in await driver.fetch(_NAMES, names)} if names else set()
