"""Register merchants and their terminals from a file; what is registered already stays as it is."""

import json
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.payments.adapters.callers import merchant_of_service
from services.payments.domain.account import AccountKind
from services.payments.domain.tap import ITSELF, Scene, Terminal

_TERMINAL = text("""
select t.id, m.scene, m.payable_account, coalesce(t.retired_time, m.retired_time) is not null
from payments.merchant m join payments.terminal t on t.merchant = m.id
where m.id = :merchant and t.terminal_id = :terminal_id""")

_TILLS = text("""
insert into payments.account (id, kind, name, guarded)
select nextval('payments.back_office_account_id'), 7, left('cash:' || m.merchant_id || '/' || t.terminal_id, 59), false
from payments.terminal t join payments.merchant m on m.id = t.merchant
where m.id = :merchant and m.scene = :office and t.terminal_id = any(cast(:ids as text[])) and t.terminal_id <> :itself
on conflict (name) do nothing""")
"""Of windows: what each has taken in, in cash, by the name that `Subject.cash_account` has."""

_Id = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}$")]


class RegistryLine(msgspec.Struct, forbid_unknown_fields=True):
    """One merchant with its terminals. The scene `office` is the city's own: its terminals are windows."""

    merchant_id: _Id
    scene: Literal["bus", "campus", "scenic", "office"]
    terminals: list[_Id]


class RegistryFileError(Exception):
    """A line of the file cannot be used; the message names it."""


def read_registry_file(path: Path) -> list[RegistryLine]:
    """JSON lines {"merchant_id": …, "scene": "bus|campus|scenic|office", "terminals": […]}. Raises RegistryFileError."""
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            lines.append(msgspec.convert(json.loads(line), RegistryLine))
        except (json.JSONDecodeError, msgspec.ValidationError) as error:
            raise RegistryFileError(f"{path}, line {number}: {error}") from None
    return lines


async def register_merchants(engine: AsyncEngine, lines: list[RegistryLine]) -> int:
    """Returns how many terminals are new. Each merchant gets an account that collects what it is owed."""
    new = 0
    async with engine.begin() as connection:
        for line in lines:
            merchant = await ensure_merchant(connection, line.merchant_id, Scene[line.scene.upper()])
            new += await ensure_terminals(connection, merchant, line.terminals)
    return new


async def ensure_merchant(connection: AsyncConnection, merchant_id: str, scene: Scene) -> int:
    """The merchant's number in the ledger."""
    await connection.execute(
        text(
            "insert into payments.account (id, kind, name, guarded)"
            " values (nextval('payments.back_office_account_id'), :kind, :name, false) on conflict (name) do nothing"
        ),
        {"kind": AccountKind.MERCHANT_PAYABLE, "name": f"merchant:{merchant_id}"},
    )
    await connection.execute(
        text(
            "insert into payments.merchant (merchant_id, scene, payable_account)"
            " select :merchant_id, :scene, id from payments.account where name = :name on conflict (merchant_id) do nothing"
        ),
        {"merchant_id": merchant_id, "scene": scene, "name": f"merchant:{merchant_id}"},
    )
    number = await connection.scalar(text("select id from payments.merchant where merchant_id = :id"), {"id": merchant_id})
    assert isinstance(number, int)
    return number


async def ensure_terminal(connection: AsyncConnection, merchant_id: str, terminal_id: str) -> Terminal:
    """One terminal of a merchant that is registered, as the ledger knows it."""
    merchant = await connection.scalar(text("select id from payments.merchant where merchant_id = :id"), {"id": merchant_id})
    assert isinstance(merchant, int)
    await ensure_terminals(connection, merchant, [terminal_id])
    found = await connection.execute(_TERMINAL, {"merchant": merchant, "terminal_id": terminal_id})
    number, scene, payable_account, retired = found.one()
    return Terminal(number, merchant_id, terminal_id, Scene(scene), payable_account, retired)


async def ensure_terminals(connection: AsyncConnection, merchant: int, terminal_ids: list[str]) -> int:
    """Returns how many are new. A window gets an account for the cash in its till."""
    result = await connection.execute(
        text(
            "insert into payments.terminal (merchant, terminal_id) select :merchant, unnest(cast(:ids as text[]))"
            " on conflict do nothing"
        ),
        {"merchant": merchant, "ids": terminal_ids},
    )
    await connection.execute(_TILLS, {"merchant": merchant, "ids": terminal_ids, "office": Scene.OFFICE, "itself": ITSELF})
    return result.rowcount


async def ensure_service(connection: AsyncConnection, name: str) -> Terminal:
    """A service of the city as a caller of the ledger."""
    merchant_id = merchant_of_service(name)
    await ensure_merchant(connection, merchant_id, Scene.OFFICE)
    return await ensure_terminal(connection, merchant_id, ITSELF)
