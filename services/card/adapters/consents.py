"""Consents in PostgreSQL: added, never changed; the newest word on a purpose counts."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.actor import Actor
from services.card.domain.consent import Consent, ConsentKind
from services.common.clock import instant, milliseconds

CONSENT_COLUMNS: Final = "kind, given, at, papers is not null, actor, outlet"
_OF_HOLDER: Final = f"""
select distinct on (kind) {CONSENT_COLUMNS} from card.consent where holder = $1 order by kind, id desc"""  # noqa: S608 - our own
_GIVEN: Final = """
select holder, kind from (
    select distinct on (holder, kind) holder, kind, given from card.consent where holder = any($1::bigint[])
    order by holder, kind, id desc) as newest
where given"""


class NewConsent(NamedTuple):
    """A word that is to be written down."""

    holder: int
    kind: ConsentKind
    given: bool
    papers: bytes | None
    """Sealed: the guardian's."""


async def read_consents(driver: "asyncpg.Connection[Any]", holder: int) -> list[Consent]:
    """The newest word of a holder on each purpose."""
    return list(map(consent_of, await driver.fetch(_OF_HOLDER, holder)))


async def given_consents(driver: "asyncpg.Connection[Any]", holders: Iterable[int]) -> dict[int, frozenset[ConsentKind]]:
    """What stands, by holder. Only a locked holder's stays so."""
    found: dict[int, set[ConsentKind]] = {}
    for holder, kind in await driver.fetch(_GIVEN, sorted(set(holders))):
        found.setdefault(holder, set()).add(ConsentKind(kind))
    return {holder: frozenset(kinds) for holder, kinds in found.items()}


async def add_consents(driver: "asyncpg.Connection[Any]", new: Iterable[NewConsent], actor: Actor, now_ms: int) -> None:
    """Write words down; a withdrawal is one, too."""
    at = instant(now_ms)
    await driver.copy_records_to_table(
        "consent",
        schema_name="card",
        columns=(*NewConsent._fields, "actor", "outlet", "at"),
        records=[(*one, actor.name, actor.outlet, at) for one in new],
    )


def consent_of(row: Any) -> Consent:
    """A row of CONSENT_COLUMNS."""
    kind, given, at, by_guardian, actor, outlet = row
    return Consent(ConsentKind(kind), given, milliseconds(at), by_guardian, actor, outlet)
