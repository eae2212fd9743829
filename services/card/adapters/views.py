"""Everything of a holder in one statement, which writes the view down before it is answered."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from services.card.adapters.applications import (
    APPLICATION_COLUMNS,
    STEP_COLUMNS,
    Application,
    TimelineStep,
    application_of_row,
    step_of,
)
from services.card.adapters.cards import CARD_COLUMNS, card_of
from services.card.adapters.consents import CONSENT_COLUMNS, consent_of
from services.card.adapters.people import HOLDER_COLUMNS, Holder, StoredDocument, holder_of
from services.card.adapters.sealing import Digest, Sealing, columns
from services.card.adapters.spending_limits import LIMIT_COLUMNS
from services.card.domain.actor import Actor
from services.card.domain.card import Card
from services.card.domain.consent import Consent
from services.card.domain.spending_limits import NO_LIMITS, SpendingLimits

_MOST_APPLICATIONS: Final = 20
_BY_DIGEST: Final = """
select l.holder from unnest($6::smallint[], $7::smallint[], $8::bytea[]) as w(field, version, digest)
join card.lookup l on l.field = w.field and l.index_version = w.version and l.digest = w.digest limit 1"""
_BY_IDENTIFIER: Final = "select holder from card.card where card_identifier = $6"
_BY_HOLDER: Final = "select $6::bigint"
_VIEW: Final = f"""
with found(id) as materialized (%s),
applications as (
    select a.* from card.application a where a.holder = (select id from found) order by a.id desc limit {_MOST_APPLICATIONS}),
noted as (
    insert into card.audit (actor, shift, terminal, act, holder, purpose, detail)
    values ($1, $2, $3, 'holder.view', (select h.id from card.holder h join found using (id)), $4, $5::jsonb))
select {HOLDER_COLUMNS},
    array(select row(number, kind, sealed, valid_until) from card.document
        where holder = h.id and replaced_time is null order by number),
    array(select row(c.sealed_number, {CARD_COLUMNS}) from card.card c where c.holder = h.id order by c.id desc),
    array(select row({APPLICATION_COLUMNS}) from applications order by id desc),
    array(select row(application, {STEP_COLUMNS}) from card.step
        where application in (select id from applications) order by application, number),
    array(select row({CONSENT_COLUMNS}) from (
        select distinct on (kind) * from card.consent where holder = h.id order by kind, id desc) as newest),
    (select row({LIMIT_COLUMNS}) from card.spending_limit where holder = h.id order by valid_from desc limit 1)
from card.holder h where h.id = (select id from found) and deletion_time is null"""  # noqa: S608 - our own lists of columns

_COUNT: Final = """
select count(*) from card.audit where actor = $1 and act = $2 and at > now() - make_interval(mins => $3)"""

_encode = msgspec.json.Encoder().encode


class HolderRows(NamedTuple):
    """What is stored of a holder; what is personal is sealed."""

    holder: Holder
    documents: list[StoredDocument]
    cards: list[tuple[bytes | None, Card]]
    """With the sealed number, newest first."""
    applications: list[Application]
    """Newest first, at most 20."""
    timelines: dict[int, list[TimelineStep]]
    consents: list[Consent]
    spending_limits: SpendingLimits
    """As a guardian said last; who is of age has none all the same."""


async def view_by_digests(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, digests: Sequence[Digest], actor: Actor, purpose: str, masked: bool
) -> HolderRows | None:
    """Whom a number leads to; None: nobody, which is written down as well."""
    return await _view(driver, sealing, _VIEW % _BY_DIGEST, columns(digests), actor, purpose, masked)


async def view_by_identifier(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, card_identifier: str, actor: Actor, purpose: str, masked: bool
) -> HolderRows | None:
    """Whose card it is, or was."""
    return await _view(driver, sealing, _VIEW % _BY_IDENTIFIER, (card_identifier,), actor, purpose, masked)


async def view_by_id(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, holder: int, actor: Actor, purpose: str, masked: bool
) -> HolderRows | None:
    """A holder whose number is known."""
    return await _view(driver, sealing, _VIEW % _BY_HOLDER, (holder,), actor, purpose, masked)


async def count_acts(driver: "asyncpg.Connection[Any]", actor: Actor, act: str, minutes: int) -> int:
    """How often somebody has done something lately. Whoever lets it decide locks the account first, and acts before it ends."""
    times: int = await driver.fetchval(_COUNT, actor.name, act, minutes)
    return times


async def _view(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    statement: str,
    by: Sequence[Any],
    actor: Actor,
    purpose: str,
    masked: bool,
) -> HolderRows | None:
    detail = _encode({"masked": int(masked)}).decode()
    row = await driver.fetchrow(statement, actor.name, actor.shift, actor.terminal, purpose, detail, *by)
    if row is None:
        return None
    *holder, documents, cards, applications, steps, consents, limits = row
    timelines: dict[int, list[TimelineStep]] = {}
    for application, *step in steps:
        timelines.setdefault(application, []).append(step_of(step))
    return HolderRows(
        holder_of(sealing, holder),
        [StoredDocument(*document) for document in documents],
        [(number, card_of(card)) for number, *card in cards],
        [application_of_row(application) for application in applications],
        timelines,
        [consent_of(consent) for consent in consents],
        SpendingLimits(*limits) if limits else NO_LIMITS,
    )
