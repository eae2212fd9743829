"""Known faults of existing platforms that concern a card's loss; 6 is in test_pins.py, 9 in test_hotlist.py."""

import asyncpg
import pytest

from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.refusal import Refusal
from tests.integration.card.test_cards import social
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import Registry
from tests.support.relay import Broker, relay_once

UNSENT = "select count(*) from card.event_outbox where sent_time is null"


async def test_fault_4_a_loss_is_stored_with_its_event_or_not_at_all_and_leaves_when_the_others_hear_again(
    registry: Registry, owner: Owner
) -> None:
    """A loss saved locally while the upstream sync failed."""
    card, broker = await registry.first_card(1), Broker()
    await relay_once(registry, broker)
    broker.sent.clear()
    await owner.execute("revoke insert on card.event_outbox from onecard_card")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    assert await social(owner, card) is SocialStatus.NORMAL
    await owner.execute("grant insert on card.event_outbox to onecard_card")

    def away() -> None:
        raise ConnectionError

    broker.before_sending = away
    assert (await registry.change(card, Verb.REPORT_FORMAL_LOSS)).refusal is None
    with pytest.raises(ConnectionError):
        await relay_once(registry, broker)
    assert (await social(owner, card), await owner.fetchval(UNSENT)) == (SocialStatus.FORMALLY_LOST, 1)
    broker.before_sending = lambda: None
    await relay_once(registry, broker)
    (state,) = broker.states()
    assert state.status_periods[-1].status == SocialStatus.FORMALLY_LOST + 1
    assert await owner.fetchval(UNSENT) == 0


@pytest.mark.parametrize("party", list(Party))
async def test_fault_5_a_formal_loss_is_released_by_nobody(registry: Registry, owner: Owner, party: Party) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    assert (await registry.change(card, Verb.RELEASE, party)).refusal is Refusal.FORMAL_LOSS_IS_FINAL
    for found in (SocialStatus.NORMAL, SocialStatus.TEMPORARILY_LOST, SocialStatus.LOCKED):
        with pytest.raises(asyncpg.PostgresError, match="never released"):
            await owner.execute("update card.card set social = $2 where id = $1", card, found)
    assert await social(owner, card) is SocialStatus.FORMALLY_LOST
