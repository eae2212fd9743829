"""card.events: the state of each card that changed, in order, and a heartbeat that never promises too much."""

from datetime import date

import pytest

from onecard.card.v1.card_events_pb2 import CardEvent, CardStatus
from services.card.adapters.cards import restate_cards
from services.card.adapters.events import event_of, mark_sent, read_states, read_unsent
from services.card.domain.application import ApplicationKind
from services.card.domain.life_cycle import Verb
from services.card.handlers.relay_events import RelayEvents
from services.common.database import driver_session
from services.payments.adapters.cards import Beat, decode_card_event
from services.payments.domain.card import Card
from services.payments.domain.card import CardStatus as KnownStatus
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, Registry
from tests.support.relay import Broker, relay_once
from tests.support.town import now_ms


class CutOffError(Exception):
    """The process dies here."""


async def test_a_card_is_published_as_payments_reads_it_with_its_whole_history(registry: Registry) -> None:
    old = await registry.first_card(1)
    await registry.change(old, Verb.REPORT_FORMAL_LOSS)
    reissue = await registry.apply_again(1, ApplicationKind.REISSUE)
    assert reissue.application is not None
    await registry.hand_over(reissue.application)
    broker = Broker()
    await relay_once(registry, broker)
    read = [decode_card_event(value) for _, value in broker.sent]
    cards = {card.card_identifier: (card, account) for card, account in (r for r in read if not isinstance(r, Beat))}
    assert len(broker.sent) == len(cards) == 2  # each once, though there are ten rows
    (first, account), (second, same_account) = cards.values()
    assert isinstance(first, Card)
    assert account == same_account == reissue.holder
    history = [period.status for period in first.status_periods]
    assert history == [KnownStatus.SEALED, KnownStatus.NORMAL, KnownStatus.FORMALLY_LOST, KnownStatus.CANCELLED]
    assert first.successor_card_identifier == second.card_identifier
    assert [period.status for period in second.status_periods] == [KnownStatus.SEALED, KnownStatus.NORMAL]
    assert first.birth_date == date(1990, 1, 1)
    assert first.category_periods[0].category == "ordinary"
    before = len(broker.sent)
    await relay_once(registry, broker)
    assert len(broker.sent) == before


async def test_what_is_published_runs_forward_also_where_a_clock_went_back(registry: Registry, owner: Owner) -> None:
    old, at = await registry.first_card(1), now_ms() + 60_000
    await owner.execute("update card.card set electronic = 1 where id = $1", old)
    for verb, behind_ms in (
        (Verb.REPORT_TEMPORARY_LOSS, 0),
        (Verb.RELEASE, 1),
        (Verb.REPORT_TEMPORARY_LOSS, 2000),
        (Verb.REPORT_FORMAL_LOSS, 1),
    ):
        assert (await registry.change(old, verb, at_ms=at - behind_ms)).refusal is None
    reissue = await registry.apply_again(1, ApplicationKind.REISSUE)
    new = await registry.hand_over(reissue.application or 0)  # by a clock that is a minute behind
    async with driver_session(registry.engine) as driver:
        await restate_cards(driver, reissue.holder or 0, CLERK, at - 60_000)
        states = await read_states(driver, registry.sealing, (old, new))
    (before, _), (after, _) = (decode_card_event(event_of(states[card])[1]) for card in (old, new))
    assert isinstance(before, Card)
    assert isinstance(after, Card)
    assert [period.valid_from_ms for period in before.status_periods[2:]] == [at] * 5
    assert [use.valid_from_ms for use in before.electronic_periods] == [at] * 2
    assert after.status_periods[-1].valid_from_ms == at  # there is no moment at which neither or both of them pay


async def test_what_was_sent_and_not_marked_is_sent_again(registry: Registry, owner: Owner) -> None:
    card = await registry.first_card(1)
    broker = Broker()

    def fail() -> None:
        raise CutOffError

    broker.before_sending = fail
    with pytest.raises(CutOffError):
        await relay_once(registry, broker)
    assert await owner.fetchval("select count(*) from card.event_outbox where sent_time is null") == 4
    broker.before_sending = lambda: None
    await relay_once(registry, broker)
    (state,) = broker.states()
    assert state.version == await owner.fetchval("select version from card.card where id = $1", card)


async def test_a_lower_number_that_is_committed_later_is_sent_all_the_same(registry: Registry, owner: Owner) -> None:
    slow, quick = await registry.first_card(1), await registry.first_card(2)
    broker = Broker()
    await relay_once(registry, broker)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("insert into card.event_outbox (card, version) values ($1, 4)", slow)
    await registry.change(quick, Verb.REPORT_TEMPORARY_LOSS)  # a higher number, committed first
    broker.sent.clear()
    await relay_once(registry, broker)
    assert len(broker.sent) == 1
    await transaction.commit()
    await relay_once(registry, broker)
    assert len(broker.sent) == 2
    assert await owner.fetchval("select count(*) from card.event_outbox where sent_time is null") == 0


async def test_a_relay_that_was_deposed_while_it_sent_does_not_leave_an_older_state_behind(
    registry: Registry, owner: Owner
) -> None:
    card = await registry.first_card(1)
    async with driver_session(registry.engine) as driver:
        held = await read_unsent(driver, 100)
        old = (await read_states(driver, registry.sealing, [card]))[card]
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    broker = Broker()
    await relay_once(registry, broker)  # the one that was elected meanwhile
    assert broker.states()[-1].version > old.version
    broker.sent.append((old.card_identifier.encode(), CardEvent(state=old).SerializeToString()))  # the deposed one wakes up
    async with driver_session(registry.engine) as driver:
        await mark_sent(driver, [id_ for id_, _ in held.rows])
    await relay_once(registry, broker)
    last = broker.states()[-1]
    assert (last.version, last.status_periods[-1].status) == (5, CardStatus.CARD_STATUS_TEMPORARILY_LOST)
    assert await owner.fetchval("select count(*) from card.event_outbox where sent_time is null") == 0


class Clock:
    """Tells the time that a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_heartbeat_promises_only_what_has_left(registry: Registry) -> None:
    broker, clock = Broker(), Clock()
    relay = RelayEvents(registry.engine, registry.sealing, broker, clock=clock)  # type: ignore[arg-type]  # a broker in memory
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await relay(connection)
        card = await registry.first_card(1)
        clock.now += 1
        await relay(connection)
        await registry.change(card, Verb.LOCK)
    first, second = (CardEvent.FromString(beat).heartbeat for beat in broker.beats)
    state = broker.states()[-1]
    assert first.committed_up_to_ms <= state.status_periods[0].valid_from_ms + 1
    assert second.committed_up_to_ms >= state.status_periods[-1].valid_from_ms
    assert second.partitions == 4


async def test_a_silent_hour_is_told_from_a_dead_relay_and_what_comes_after_it_leaves_at_once(registry: Registry) -> None:
    broker, clock = Broker(), Clock()
    relay = RelayEvents(registry.engine, registry.sealing, broker, clock=clock)  # type: ignore[arg-type]  # a broker in memory
    card = await registry.first_card(1)
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await relay(connection)
        broker.sent.clear()
        for _ in range(60):
            clock.now += 60
            await relay(connection)
            await relay(connection)  # within the same second
        assert broker.sent == []
        promised = [CardEvent.FromString(beat).heartbeat.committed_up_to_ms for beat in broker.beats]
        assert len(promised) == 61
        assert promised == sorted(promised)
        changed = now_ms()
        await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
        await relay(connection)
        assert [state.version for state in broker.states()] == [5]
        clock.now += 1
        await relay(connection)
    assert CardEvent.FromString(broker.beats[-1]).heartbeat.committed_up_to_ms >= changed
