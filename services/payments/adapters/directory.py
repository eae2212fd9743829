"""Accounts by their names: what never changes of an account, read once and remembered."""

from typing import Final, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.errors import Code, DomainError
from services.payments.domain.account import AccountKind

_COLUMNS: Final = "a.id, a.kind, coalesce(a.name, '') as name, a.currency, a.guarded, coalesce(a.owner, a.id) as holder"
_BY_ID: Final = text(f"select {_COLUMNS} from payments.account a where a.id = :id")  # noqa: S608  # constants
_BY_NAME: Final = text(f"select {_COLUMNS} from payments.account a where a.name = :name")  # noqa: S608  # constants
_BY_CARD: Final = text("select account_id from payments.card where card_identifier = :card")
_MOST_KNOWN: Final = 200_000


class Known(NamedTuple):
    """What never changes of an account."""

    id: int
    kind: AccountKind
    name: str
    currency: int
    guarded: bool
    holder: int
    """Of a purse: its holder's account; otherwise the account itself."""


class Directory:
    """Finds accounts; one that does not exist is looked up each time, for it may come to be."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._by_id: dict[int, Known] = {}
        self._by_name: dict[str, Known] = {}
        self._by_card: dict[str, int] = {}

    async def of_id(self, account_id: int) -> Known:
        """Raises DomainError when there is none."""
        return self._by_id.get(account_id) or await self._read(_BY_ID, id=account_id)

    async def of_name(self, name: str) -> Known:
        """Raises DomainError when there is none."""
        return self._by_name.get(name) or await self._read(_BY_NAME, name=name)

    async def of_card(self, card_identifier: str) -> int:
        """The holder's account. Raises DomainError when no card has this identifier."""
        account_id = self._by_card.get(card_identifier)
        if account_id is None:
            async with self._engine.connect() as connection:
                account_id = await connection.scalar(_BY_CARD, {"card": card_identifier})
            if account_id is None:
                raise unknown_card()
            _bound(self._by_card)
            self._by_card[card_identifier] = account_id
        return account_id

    async def _read(self, query: TextClause, **parameter: int | str) -> Known:
        async with self._engine.connect() as connection:
            row = (await connection.execute(query, parameter)).first()
        if row is None:
            raise unknown_account()
        known = Known(row.id, AccountKind(row.kind), row.name, row.currency, row.guarded, row.holder)
        _bound(self._by_id)
        self._by_id[known.id] = known
        if known.name:
            self._by_name[known.name] = known
        return known


def _bound(remembered: dict[int, Known] | dict[str, int]) -> None:
    if len(remembered) >= _MOST_KNOWN:
        remembered.clear()


def unknown_card() -> DomainError:
    """Nothing was stored: the card may become known."""
    return DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")


def unknown_account() -> DomainError:
    """Nothing was stored: the account may be opened."""
    return DomainError(Code.NOT_FOUND, "UNKNOWN_ACCOUNT", "there is no such account")
