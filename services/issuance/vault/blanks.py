"""What the vault asks the database, by a role of its own: who holds which blank, and which keys are on its chip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_session
from services.issuance.domain.blank import BlankState
from services.issuance.domain.countersignature import SignatureState
from services.issuance.domain.record import RecordState

_HELD = """
    select r.id, r.epoch, r.state, r.application, r.staff, r.terminal, r.serial, b.card_identifier, b.product,
        b.state as blank_state, b.record as held_by, b.barred, k.versions::text
    from issuance.record r
    join issuance.blank b on b.serial = r.serial
    left join issuance.chip_key k on k.serial = r.serial
    where r.id = any($1::bigint[])
"""
_PIN = "insert into issuance.chip_key (serial, versions) values ($1, $2::text::jsonb) on conflict do nothing"
_SIGNED = """
    select detail->>'what' from issuance.countersignature
    where id = $1 and act = 'UPDATE_CARD' and detail->>'record' = $2::text and requested_by = $3 and terminal = $4
        and expire_time > now() and state = $5
"""
_NEEDED = """
    select count(*) from issuance.chip_key k join issuance.blank b using (serial)
    where (k.versions->>$1)::int = $2 and b.state <> $3
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A record with its blank, as they are now."""

    epoch: int
    state: RecordState
    application: int
    clerk: int
    terminal: str
    serial: str
    identifier: str
    product: str
    blank_state: BlankState
    holds: bool
    """The blank is this record's, and no other's."""
    barred: bool
    versions: Mapping[str, int] | None
    """Of the roots whose keys are, or are to be, on the chip; None: nobody has begun it."""


class Blanks(Protocol):
    """Raises one of DatabaseError."""

    async def held(self, records: Sequence[int]) -> Mapping[int, Held]:
        """Those records that there are."""

    async def keep_versions(self, serial: str, versions: Mapping[str, int]) -> None:
        """A chip keeps the versions with which it was begun, whatever is activated later; the first word counts."""

    async def signed(self, record: int, approval: int, clerk: int, terminal: str) -> str:
        """What of this record's card a second person lets this clerk change here, and it is not used up; empty: nothing."""


class BlankTable:
    """In PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def held(self, records: Sequence[int]) -> Mapping[int, Held]:
        """Those records that there are."""
        async with driver_session(self._engine) as driver:
            rows = await driver.fetch(_HELD, records)
        return {
            row["id"]: Held(
                row["epoch"],
                RecordState(row["state"]),
                row["application"],
                row["staff"],
                row["terminal"],
                row["serial"],
                row["card_identifier"],
                row["product"],
                BlankState(row["blank_state"]),
                row["held_by"] == row["id"],
                row["barred"],
                msgspec.json.decode(row["versions"], type=dict[str, int]) if row["versions"] else None,
            )
            for row in rows
        }

    async def keep_versions(self, serial: str, versions: Mapping[str, int]) -> None:
        """A chip keeps the versions with which it was begun, whatever is activated later; the first word counts."""
        async with driver_session(self._engine) as driver:
            await driver.execute(_PIN, serial, msgspec.json.encode(dict(versions)).decode())

    async def signed(self, record: int, approval: int, clerk: int, terminal: str) -> str:
        """What of this record's card a second person lets this clerk change here, and it is not used up; empty: nothing."""
        async with driver_session(self._engine) as driver:
            what = await driver.fetchval(_SIGNED, approval, str(record), clerk, terminal, SignatureState.SIGNED)
        return what or ""

    async def needed(self, label: str, version: int) -> int:
        """How many chips that are not destroyed have a key of this root, or are to have one."""
        async with driver_session(self._engine) as driver:
            return int(await driver.fetchval(_NEEDED, label, version, BlankState.DESTROYED))
