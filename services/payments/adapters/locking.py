"""Locking the accounts of a batch and reading what hangs on their locks: the one place that a distributed ledger replaces."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from services.common.clock import milliseconds
from services.payments.domain.account import FIRST_HOLDER_ACCOUNT, Account, AccountStatus, HolderAccount, Purse, Usage
from services.payments.domain.card import Card

ACCOUNT_FACTS: Final = """a.id, a.credits_posted_fen - a.debits_posted_fen - a.debits_pending_fen, a.overdraft_fen, a.status,
       a.debits_pending_fen, a.purses, a.cards::text, a.usage::text"""


def _numbered(lock: str) -> str:
    """The number of the batch is taken when the last account is locked: so it agrees with the order of effects."""
    return f"""
with locked (card_identifier, id, available_fen, overdraft_fen, status, held_fen, purses, cards, usage)
         as materialized ({lock}),
     numbered as materialized (
         select nextval('payments.batch_number') as number from (select count(*) from locked) as all_of_them)
select n.number, l.* from numbered n left join locked l on true"""  # noqa: S608  # constants


# The card table is immutable, so reading it beside the lock is safe; everything that changes is on the locked row, which
# PostgreSQL reads again after a wait.
_LOCK_CARDS: Final = _numbered(f"""
select c.card_identifier, {ACCOUNT_FACTS}
from payments.card c join payments.account a on a.id = c.account_id
where c.card_identifier = any($1::text[])
order by a.id
for no key update of a""")  # noqa: S608  # constants

_LOCK: Final = _numbered(f"""
select c.card_identifier, {ACCOUNT_FACTS}
from payments.account a
left join payments.card c on c.account_id = a.id and c.card_identifier = any($1::text[])
where a.guarded and a.kind <> 6
      and a.id in (select account_id from payments.card where card_identifier = any($1::text[])
                   union select unnest($2::bigint[]))
order by a.id
for no key update of a""")  # noqa: S608  # constants

_PURSES: Final = """
select a.id, a.credits_posted_fen - a.debits_posted_fen - a.debits_pending_fen, a.overdraft_fen, a.status, a.debits_pending_fen,
       a.owner, a.purpose, a.void_after, a.fund_account
from payments.account a where a.owner = any($1::bigint[]) order by a.id"""

_decode_cards = msgspec.json.Decoder(tuple[Card, ...]).decode
_decode_usage = msgspec.json.Decoder(dict[str, Any]).decode
_NO_USAGE: Final[Usage] = {}
# Look-ups by number, because calling an enumeration costs more than the rest of a row.
STATUS: Final = {status.value: status for status in AccountStatus}


class Locked(NamedTuple):
    """The accounts of a batch, locked until its transaction ends, and the batch's number."""

    batch: int
    by_card: dict[str, HolderAccount]
    """Two cards of one holder share the object."""
    by_id: dict[int, Account]
    """With the holders' purses."""


async def lock_accounts(
    driver: "asyncpg.Connection[Any]", cards: Sequence[str], accounts: Sequence[int] = ()
) -> Locked:  # fmt: skip
    """Lock the accounts of these cards and these guarded accounts, all at once and in the order of their numbers."""
    rows = await (driver.fetch(_LOCK, cards, accounts) if accounts else driver.fetch(_LOCK_CARDS, cards))
    by_card, by_id = _accounts(rows)
    if with_purses := [a.id for a in by_id.values() if isinstance(a, HolderAccount) and a.purse_count]:
        for row in await driver.fetch(_PURSES, with_purses):
            purse = _purse(row)
            holder = by_id[purse.owner]
            assert isinstance(holder, HolderAccount)
            holder.purses.append(purse)
            by_id[purse.id] = purse
    return Locked(rows[0][0], by_card, by_id)


def _accounts(rows: Iterable[Any]) -> tuple[dict[str, HolderAccount], dict[int, Account]]:
    by_id: dict[int, Account] = {}
    by_card: dict[str, HolderAccount] = {}
    for _, card_identifier, account_id, available_fen, overdraft_fen, status, held_fen, purses, cards, usage in rows:
        if account_id is None:
            continue  # nothing was locked
        account = by_id.get(account_id)
        if account is None:
            if account_id >= FIRST_HOLDER_ACCOUNT:
                account = holder_of(account_id, available_fen, overdraft_fen, status, held_fen, purses, cards, usage)
            else:
                account = Account(account_id, available_fen, overdraft_fen, STATUS[status], held_fen)
            by_id[account_id] = account
        if card_identifier is not None:
            assert isinstance(account, HolderAccount)
            by_card[card_identifier] = account
    return by_card, by_id


def holder_of(
    account_id: int,
    available_fen: int,
    overdraft_fen: int,
    status: int,
    held_fen: int,
    purses: int,
    cards: str,
    usage: str | None,
) -> HolderAccount:
    """A holder's account of the columns of its row."""
    return HolderAccount(
        account_id,
        available_fen,
        overdraft_fen,
        STATUS[status],
        held_fen,
        cards=_decode_cards(cards),
        usage=_decode_usage(usage) if usage else _NO_USAGE,
        purse_count=purses,
    )


def _purse(row: Sequence[Any]) -> Purse:
    account_id, available_fen, overdraft_fen, status, held_fen, owner, purpose, void_after, fund_account = row
    void_after_ms = milliseconds(void_after) if void_after is not None else 0
    return Purse(
        account_id, available_fen, overdraft_fen, STATUS[status], held_fen, owner=owner, purpose=purpose,
        void_after_ms=void_after_ms, fund_account=fund_account,
    )  # fmt: skip
