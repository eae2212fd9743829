"""Cash that waits, with a real payments API: it leaves a till only where a clerk hands it out."""

from pathlib import Path
from typing import Any

import pytest

from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as window
from services.card.adapters import money
from services.card.adapters.deletions import money_underway
from services.card.adapters.work import list_work
from services.card.domain.actor import TIMER
from services.card.domain.application import ApplicationKind, Step
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.refusal import Refusal
from services.card.domain.work import WorkKind
from services.card.handlers.handle_application import handle_application
from services.card.handlers.once import transact
from services.common.database import driver_session
from tests.integration.card.test_api_cards import IN_PERSON
from tests.integration.card.test_approvals import cancel, decide, supervisor
from tests.support.cardholders import CLERK
from tests.support.counter import AT_OTHER, CASH, LEFT, Counter, CutOffError
from tests.support.hall import open_hall
from tests.support.town import now_ms


async def work(counter: Counter, kind: WorkKind) -> list[int]:
    """The numbers of what waits at the outlet."""
    async with driver_session(counter.registry.engine) as driver:
        return [one.id for one in await list_work(driver, kind, CLERK.outlet, now_ms() + 1000, after=0, limit=10)]


async def test_cash_is_given_back_out_of_the_till_of_the_window_where_it_is_withdrawn(counter: Counter) -> None:
    await counter.lost_card(1)
    application = await counter.apply(1, FeeSource.CASH)
    await counter.settle()
    assert await counter.tills() == (-2000, 0)
    sealing = counter.registry.sealing
    handled = await transact(
        counter.registry.engine,
        lambda driver: handle_application(driver, sealing, application, Step.WITHDRAW, AT_OTHER, now_ms()),
    )
    assert handled.hand_out_fen == 2000
    for _ in range(2):
        await counter.settle()
    assert await counter.fee(application) is FeeState.RETURNED
    assert (await counter.tills(), await counter.balance("card-fees-held")) == ((-2000, 2000), 0)


async def test_cash_of_an_application_that_lapses_waits_until_it_is_handed_out(counter: Counter) -> None:
    holder = await counter.lost_card(1)
    application = await counter.apply(1, FeeSource.CASH)
    await counter.registry.step(application, Step.REFUSE)
    await transact(
        counter.registry.engine,
        lambda driver: handle_application(driver, counter.registry.sealing, application, Step.LAPSE, TIMER, now_ms()),
    )
    for _ in range(2):
        await counter.look_again()
    assert await counter.fee(application) is FeeState.TAKEN
    assert (await counter.tills(), await counter.balance("card-fees-held")) == ((-2000, 0), 2000)
    assert await work(counter, WorkKind.FEE_TO_HAND_OUT) == [application]
    assert (await counter.hand_out(holder, AT_OTHER)).fees_fen == 2000
    assert (await counter.hand_out(holder, AT_OTHER)).refusal is Refusal.NOTHING_TO_HAND_OUT
    for _ in range(2):
        await counter.settle()
    assert await counter.fee(application) is FeeState.RETURNED
    assert (await counter.tills(), await counter.balance("card-fees-held")) == ((-2000, 2000), 0)
    assert (await work(counter, WorkKind.FEE_TO_HAND_OUT), await counter.acts("money.hand_out")) == ([], 1)


async def test_cash_of_a_cancelled_card_that_comes_later_waits_until_it_is_handed_out(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 1000)
    await counter.cancel(card)
    for _ in range(2):
        await counter.settle()
    assert (await counter.tills(), await counter.balance(LEFT)) == ((0, 0), 1000)
    assert await work(counter, WorkKind.REMAINDER_TO_HAND_OUT) == [card]
    assert (await counter.hand_out(holder)).remainder_fen == 1000
    await counter.receive(holder, 300)
    await counter.look_again()
    async with driver_session(counter.registry.engine) as driver:
        waiting = await money.count_waiting(driver)
        assert await money_underway(driver, holder)
    assert (waiting["hand_out"], waiting["to_hand_out"], await counter.tills()) == (0, 1, (1000, 0))
    assert (await counter.hand_out(holder, AT_OTHER)).remainder_fen == 300
    await counter.settle()
    assert (await counter.tills(), await counter.balance(LEFT)) == ((1000, 300), 0)
    assert await work(counter, WorkKind.REMAINDER_TO_HAND_OUT) == []
    async with driver_session(counter.registry.engine) as driver:
        assert not await money_underway(driver, holder)


async def test_what_was_handed_out_is_posted_once_whoever_dies_meanwhile(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 900)
    await counter.cancel(card)
    await counter.settle()
    await counter.hand_out(holder)

    async def dies(*_: Any) -> None:
        raise CutOffError

    with monkeypatch.context() as patched:
        patched.setattr(money, "mark_posted", dies)
        for _ in range(2):
            with pytest.raises(CutOffError):
                await counter.settle()
    await counter.settle()
    assert (await counter.balance(LEFT), await counter.balance(CASH)) == (0, 900)


async def test_at_the_window_a_cancellation_says_what_to_hand_out_and_later_cash_is_asked_for(
    counter: Counter, tmp_path: Path
) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 4321)
    await counter.hold(holder, 321)
    await counter.registry.apply_again(1, ApplicationKind.REPLACE)
    async with open_hall(counter.registry, counter.owner, tmp_path / "hall", counter.desk) as hall:
        clerk, chief = await hall.window(), await supervisor(hall)
        await decide(chief, (await clerk.ask("Cancel", cancel(card))).refusal.approval_id)
        done = await clerk.ask("Cancel", cancel(card))
        assert (done.remainder_fen, done.remainder_to_come, done.fees_fen) == (4000, True, 2000)
        assert (await clerk.ask("Cancel", cancel(card))).remainder_fen == 4000
        await counter.hold(holder, 0)
        await counter.look_again()
        assert (await counter.tills(), await counter.balance(LEFT)) == ((4000, 0), 321)
        assert (await clerk.ask("Cancel", cancel(card))).remainder_fen == 4000
        (waiting,) = (await clerk.ask("ListWork", window.ListWorkRequest())).items
        assert (waiting.kind, waiting.card_id) == (window.WORK_KIND_REMAINDER_TO_HAND_OUT, card)

        async def take(request_id: str, **presented: Any) -> tuple[str, int]:
            shown = cards.Presented(**presented) if presented else IN_PERSON
            asked = cards.HandOutRequest(request_id=request_id, holder_id=waiting.holder_id, presented=shown)
            answer = await clerk.ask("HandOut", asked)
            return answer.refusal.reason, answer.remainder_fen

        unseen = {"party": cards.PARTY_HOLDER_IN_PERSON}
        assert await take("t1", **unseen) == ("IDENTITY_NOT_VERIFIED", 0)
        heir = {"party": cards.PARTY_HEIR, "identity_verified": True}
        assert await take("t2", **heir) == ("PAPERS_MISSING", 0)
        assert await take("t3", **(heir | {"party": cards.PARTY_PROXY})) == ("PROXY_MAY_NOT", 0)
        assert await take("t4") == await take("t4") == ("", 321)
        assert await take("t5") == ("NOTHING_TO_HAND_OUT", 0)
        await counter.settle()
        assert (await counter.tills(), await counter.balance(LEFT)) == ((4321, 0), 0)
