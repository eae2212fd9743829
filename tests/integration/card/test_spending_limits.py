"""A guardian's limits at a window: who may set them, what stays written down, and what every card of the child tells."""

import json
from dataclasses import replace
from typing import Any

import grpc

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import window_pb2 as window_messages
from onecard.card.v1.card_events_pb2 import CardState, SpendingLimits
from onecard.card.v1.spending_limits_pb2 import SetSpendingLimitsRequest
from services.card.adapters.deletions import forget_holder
from services.card.adapters.events import read_states
from services.card.domain.application import ApplicationKind
from services.card.domain.fee import FeeSource
from services.card.domain.life_cycle import Verb
from services.card.domain.spending_limits import of_age_on
from services.common.clock import midnight_ms, now_ms
from services.common.database import driver_session
from tests.integration.card.test_consents import GUARDIAN, MINOR, child
from tests.support.cardholders import Registry, minors_submission, submission
from tests.support.hall import HOTLINE, Hall, Owner, Window, status_of

LUNCH = SpendingLimits(day_fen=2_000, day_payments=5, scenic_day_fen=0)
NONE = SpendingLimits()


def limits(holder: int, request_id: str = "g1", said: SpendingLimits = LUNCH, **other: Any) -> SetSpendingLimitsRequest:
    fields: dict[str, Any] = {"identity_verified": True, "guardian": GUARDIAN, **other}
    return SetSpendingLimitsRequest(request_id=request_id, holder_id=holder, limits=said, **fields)


async def set_limits(window: Window, asked: SetSpendingLimitsRequest) -> str:
    """Why not; empty: they were set."""
    answer = await window.ask("SetSpendingLimits", asked)
    return str(answer.refusal.reason)


async def view(window: Window, holder: int) -> window_messages.HolderView:
    answer = await window.ask("GetHolderView", window_messages.GetHolderViewRequest(holder_id=holder))
    found: window_messages.HolderView = answer.holder
    return found


async def a_child(clerk: Window) -> int:
    return int((await clerk.ask("Submit", child(consents=[MINOR]))).application.holder_id)


async def states(registry: Registry, *cards: int) -> list[CardState]:
    async with driver_session(registry.engine) as driver:
        found = await read_states(driver, registry.sealing, cards)
    return [found[card] for card in cards]


async def test_a_guardian_sets_limits_and_each_word_stays_written_down(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    holder = await a_child(clerk)
    assert not (await view(clerk, holder)).HasField("spending_limits")
    assert await set_limits(clerk, limits(holder)) == ""
    assert await set_limits(clerk, limits(holder)) == ""  # the same request: it heard its answer again
    assert (await view(clerk, holder)).spending_limits == LUNCH
    assert await set_limits(clerk, limits(holder, "g2")) == "NOTHING_TO_CORRECT"
    assert await set_limits(clerk, limits(holder, "g3", NONE)) == ""
    assert not (await view(clerk, holder)).HasField("spending_limits")
    rows = await owner.fetch("select day_fen, day_payments, bus_day_fen, papers from card.spending_limit order by valid_from")
    assert [tuple(row)[:3] for row in rows] == [(2_000, 5, None), (None, None, None)]
    assert all("李大人".encode() not in row[3] for row in rows)
    acts = await owner.fetch("select holder, detail::text from card.audit where act = 'spending_limits.set' order by id")
    assert [(row[0], json.loads(row[1])) for row in acts] == [
        (holder, {"day_fen": 2_000, "day_payments": 5, "scenic_day_fen": 0}),
        (holder, {}),
    ]
    assert await status_of(clerk.ask("SetSpendingLimits", limits(holder, said=NONE))) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_USED",
    )


async def test_nobody_but_a_guardian_with_papers_limits_anybody_but_a_child(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk, hotline = await hall.window(), await hall.window(role=HOTLINE)
    holder = await a_child(clerk)
    grown = (await registry.submit(submission(2)))[0].holder or 0
    agent, without = applications.Representative(), applications.Representative()
    agent.CopyFrom(GUARDIAN)
    agent.relation = applications.RELATION_AGENT
    without.CopyFrom(GUARDIAN)
    without.ClearField("papers")
    for number, (asked, reason) in enumerate(
        (
            (limits(holder, guardian=None), "GUARDIAN_NEEDED"),
            (limits(holder, guardian=agent), "GUARDIAN_NEEDED"),
            (limits(holder, guardian=without), "PAPERS_MISSING"),
            (limits(holder, identity_verified=False), "IDENTITY_NOT_VERIFIED"),
            (limits(grown), "HOLDER_OF_AGE"),
        )
    ):
        asked.request_id = f"w{number}"
        assert await set_limits(clerk, asked) == reason
    assert await status_of(hotline.ask("SetSpendingLimits", limits(holder))) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "NOT_YOUR_RIGHT",
    )
    assert (await status_of(clerk.ask("SetSpendingLimits", limits(7))))[1] == "UNKNOWN_HOLDER"
    wrong = limits(holder, said=SpendingLimits(bus_day_fen=-1))
    assert (await status_of(clerk.ask("SetSpendingLimits", wrong)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert await owner.fetchval("select count(*) from card.spending_limit") == 0
    assert await owner.fetchval("select count(*) from card.audit where act = 'spending_limits.set'") == 0


async def test_the_service_cannot_change_a_word_that_was_said(registry: Registry) -> None:
    async with registry.engine.connect() as connection:
        rights = (
            "select has_table_privilege('card.spending_limit', 'update'), has_table_privilege('card.spending_limit', 'delete')"
        )
        assert tuple((await connection.exec_driver_sql(rights)).one()) == (False, False)


async def test_every_card_of_the_child_tells_the_limits_until_the_child_is_of_age(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk = await hall.window()
    applied = minors_submission()
    (first,) = await registry.submit(applied)
    old = await registry.hand_over(first.application or 0)
    holder = first.holder or 0
    (before,) = await states(registry, old)
    assert not before.spending_limit_periods
    assert await set_limits(clerk, limits(holder)) == ""
    told_again = "select count(*) from card.event_outbox where card = $1 and version > $2"
    assert await owner.fetchval(told_again, old, before.version) == 1
    await registry.change(old, Verb.REPORT_FORMAL_LOSS)
    wanted = replace(applied.wanted, kind=ApplicationKind.REISSUE, fee=FeeSource.CASH)
    (again,) = await registry.submit(replace(applied, wanted=wanted))
    new = await registry.hand_over(again.application or 0)
    end = midnight_ms(of_age_on(applied.person.birth_date))
    for told in await states(registry, old, new):
        assert [period.limits for period in told.spending_limit_periods] == [LUNCH, NONE]
        assert [period.HasField("limits") for period in told.spending_limit_periods] == [True, False]
        assert told.spending_limit_periods[1].valid_from_ms == end
    assert await set_limits(clerk, limits(holder, "g2", NONE)) == ""
    lifted, _ = await states(registry, old, new)
    assert [period.HasField("limits") for period in lifted.spending_limit_periods] == [True, False]
    assert lifted.spending_limit_periods[1].valid_from_ms < end


async def test_a_deleted_holders_cards_tell_no_limits(hall: Hall, registry: Registry) -> None:
    clerk = await hall.window()
    (made,) = await registry.submit(minors_submission())
    card = await registry.hand_over(made.application or 0)
    assert await set_limits(clerk, limits(made.holder or 0)) == ""
    async with driver_session(registry.engine) as driver:
        await forget_holder(driver, made.holder or 0, now_ms())
    (told,) = await states(registry, card)
    assert (told.birth_date, list(told.spending_limit_periods)) == ("", [])
