"""What card.events is made of: which cards changed, and the whole state of each as other services may know it."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from onecard.card.v1.card_events_pb2 import (
    CardEvent,
    CardState,
    CardStatus,
    CategoryPeriod,
    ElectronicPeriod,
    Heartbeat,
    SpendingLimitPeriod,
    StatusPeriod,
)
from services.card.adapters.sealing import Sealing, WrappedKey
from services.card.adapters.spending_limits import LIMIT_COLUMNS, periods_of, told
from services.card.domain.card import BARRED
from services.card.domain.electronic import ElectronicUse
from services.card.domain.person import Field
from services.card.domain.spending_limits import of_age_on, until_of_age
from services.common.clock import midnight_ms, milliseconds

HEARTBEAT_KEY: Final = b"heartbeat"

# now() is older than what the statement sees, so all that was committed by then is in it.
_UNSENT: Final = "select now(), array(select (id, card) from card.event_outbox where sent_time is null order by id limit $1)"
# Where another relay has marked a row meanwhile, its newer record may lie before ours: the card is sent once more.
_SENT: Final = """
with mine as (
    update card.event_outbox set sent_time = clock_timestamp() where id = any($1::bigint[]) and sent_time is null returning id)
insert into card.event_outbox (card, version)
select distinct o.card, o.version from card.event_outbox o
where o.id = any($1::bigint[]) and o.id not in (select id from mine)"""
_EPOCH: Final = "select epoch from card.installation"
_STATES: Final = f"""
select c.id, c.card_identifier, c.holder, c.version, coalesce(s.card_identifier, ''), coalesce(p.card_identifier, ''),
    h.data_key_version, h.data_key, h.sealed_version, h.birth_date,
    array(select (t.social, t.at, e.publish_time, t.electronic_use) from card.transition t
          left join card.hotlist_entry e on e.card = t.card and e.version = t.version
          where t.card = c.id order by t.version),
    array(select (k.category, k.resident, k.valid_from) from card.holder_category k where k.holder = c.holder
          order by k.valid_from),
    array(select row(l.valid_from, {LIMIT_COLUMNS}) from card.spending_limit l where l.holder = c.holder order by l.valid_from)
from card.card c join card.holder h on h.id = c.holder left join card.card s on s.id = c.successor
    left join card.card p on p.id = c.predecessor
where c.id = any($1::bigint[])"""  # noqa: S608 - our own list of columns


class Unsent(NamedTuple):
    """What has not left yet."""

    seen_ms: int
    """All that was committed before this instant is among the rows, or has left."""
    rows: Sequence[tuple[int, int]]
    """(number in the outbox, card), in order."""


async def read_unsent(driver: "asyncpg.Connection[Any]", limit: int) -> Unsent:
    """The oldest rows that are not marked as sent."""
    ((seen, rows),) = await driver.fetch(_UNSENT, limit)
    return Unsent(milliseconds(seen), [(row[0], row[1]) for row in rows])


async def mark_sent(driver: "asyncpg.Connection[Any]", ids: Sequence[int]) -> None:
    """After the broker's acknowledgement; rows that somebody else has sent, too, are noted again."""
    await driver.execute(_SENT, ids)


async def read_states(driver: "asyncpg.Connection[Any]", sealing: Sealing, cards: Iterable[int]) -> dict[int, CardState]:
    """The state of each card as it is now, by its number. The birth date of a holder who was deleted is empty."""
    epoch = await driver.fetchval(_EPOCH)
    return {row[0]: _state(sealing, epoch, row) for row in await driver.fetch(_STATES, sorted(set(cards)))}


def event_of(state: CardState) -> tuple[bytes, bytes]:
    """Key and value of a card's record."""
    return state.card_identifier.encode(), CardEvent(state=state).SerializeToString()


def heartbeat(committed_up_to_ms: int, partitions: int) -> bytes:
    """The value of a heartbeat's record."""
    beat = Heartbeat(committed_up_to_ms=committed_up_to_ms, partitions=partitions)
    return CardEvent(heartbeat=beat).SerializeToString()


def _state(sealing: Sealing, epoch: int, row: Any) -> CardState:
    _, identifier, holder, version, successor, predecessor, key_version, key, sealed_version, born, *parts = row
    statuses, categories, limits = parts
    birth_date, limit_periods = "", []
    if key is not None:
        cipher = sealing.cipher(holder, WrappedKey(key_version, key), sealed_version)
        birthday = date.fromisoformat(cipher.open(Field.BIRTH_DATE, born).decode())
        birth_date = birthday.isoformat()
        limit_periods = [
            SpendingLimitPeriod(limits=told(period.limits), valid_from_ms=period.valid_from_ms)
            for period in until_of_age(periods_of(limits), midnight_ms(of_age_on(birthday)))
        ]
    return CardState(
        card_identifier=identifier,
        account_id=holder,
        birth_date=birth_date,
        status_periods=list(_status_periods(statuses)),
        electronic_periods=list(_electronic_periods(statuses)),
        category_periods=[
            CategoryPeriod(category=category, resident=resident, valid_from_ms=milliseconds(since))
            for category, resident, since in categories
        ],
        successor_card_identifier=successor,
        predecessor_card_identifier=predecessor,
        spending_limit_periods=limit_periods,
        epoch=epoch,
        version=version,
    )


def _status_periods(transitions: Iterable[tuple[int, Any, Any, int]]) -> Iterable[StatusPeriod]:
    """The social side of a card's history: a verb that leaves it as it was begins no period.

    A card that is barred stays on the hotlist, whatever it is barred as, until it is released.
    """
    status, published = -1, None
    for social, at, listed, _ in transitions:
        published = (listed or published) if social in BARRED else None
        if social != status:
            status = social
            yield StatusPeriod(
                status=CardStatus.Name(social + 1),  # the official code, and one more: zero stays unspecified
                valid_from_ms=milliseconds(at),
                hotlist_published_ms=milliseconds(published) if published else 0,
            )


def _electronic_periods(transitions: Iterable[tuple[int, Any, Any, int]]) -> Iterable[ElectronicPeriod]:
    """What the electronic card could be used for; nothing before the first period."""
    use: int = ElectronicUse.NOTHING
    for _, at, _, after in transitions:
        if after != use:
            use = after
            yield ElectronicPeriod(use=after, valid_from_ms=milliseconds(at))  # type: ignore[arg-type]  # numbers agree, a test holds it
