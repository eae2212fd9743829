"""Cards on a real database: one live card a person, one switch, and an end that stays the end."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from services.card.adapters.money import fees_due, hand_out_fee, move_fee, read_fee
from services.card.domain.application import ApplicationKind, ApplicationState, Step
from services.card.domain.card import SocialStatus
from services.card.domain.fee import FeeState, Move, next_move
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.once import transact
from services.common.database import driver_session
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, WANTED, Registry, submission
from tests.support.town import now_ms


async def social(owner: Owner, card: int) -> SocialStatus:
    return SocialStatus(await owner.fetchval("select social from card.card where id = $1", card))


async def test_a_card_goes_from_the_application_to_the_hand_and_leaves_its_history(registry: Registry, owner: Owner) -> None:
    card = await registry.first_card(1)
    history = await owner.fetch(
        "select version, verb, social, production from card.transition where card = $1 order by 1", card
    )
    assert [tuple(row) for row in history] == [(1, 0, 0, 10), (2, 18, 0, 60), (3, 1, 0, 70), (4, 2, 1, 70)]
    steps = await owner.fetch("select step, state from card.step order by number")
    assert [tuple(row) for row in steps] == [(1, 2), (6, 4), (7, 5), (9, 6), (10, 7)]
    assert await owner.fetchval("select count(*) from card.event_outbox") == 4
    acts = [row[0] for row in await owner.fetch("select act from card.audit order by id")]
    assert acts == ["application.submit", "card.begin", "card.produce", "card.change", "card.change"]
    identifier, number = await owner.fetchrow("select card_identifier, sealed_number from card.card")  # type: ignore[misc]
    assert identifier.startswith("440700D156000005")
    assert len(number) > 9


async def test_production_that_is_begun_again_makes_no_second_card(registry: Registry, owner: Owner) -> None:
    (made,) = await registry.submit(submission(1))
    assert made.application is not None
    begun = await asyncio.gather(*(registry.begin(made.application) for _ in range(8)))
    assert sum(handled.refusal is None for handled in begun) == 1
    assert await owner.fetchval("select count(*) from card.card") == 1


async def test_a_card_that_failed_retires_its_numbers_and_the_application_is_made_again(
    registry: Registry, owner: Owner
) -> None:
    (made,) = await registry.submit(submission(1))
    assert made.application is not None
    await registry.begin(made.application)
    failed = await registry.card_of(made.application)
    assert (await registry.end(made.application, made=False)).refusal is None
    assert await social(owner, failed) is SocialStatus.CANCELLED
    card = await registry.hand_over(made.application)
    assert card != failed
    assert await owner.fetchval("select count(distinct card_identifier) from card.card") == 2


async def test_a_lost_card_is_reissued_and_the_switch_is_one_transaction(registry: Registry, owner: Owner) -> None:
    old = await registry.first_card(1)
    assert (await registry.apply_again(1, ApplicationKind.REISSUE)).refusal is Refusal.FORMAL_LOSS_FIRST
    await registry.change(old, Verb.REPORT_TEMPORARY_LOSS, Party.HOLDER_REMOTE)
    await registry.change(old, Verb.REPORT_FORMAL_LOSS)
    assert (await registry.change(old, Verb.RELEASE)).refusal is Refusal.FORMAL_LOSS_IS_FINAL
    reissue = await registry.apply_again(1, ApplicationKind.REISSUE)
    assert reissue.application is not None
    new = await registry.hand_over(reissue.application)
    assert [await social(owner, card) for card in (old, new)] == [SocialStatus.CANCELLED, SocialStatus.NORMAL]
    at = [row[0] for row in await owner.fetch("select at from card.transition where verb in (2, 14) and card >= $1", old)]
    assert at[-2] == at[-1]


async def test_the_old_card_works_until_the_switch_and_never_after_it(registry: Registry, owner: Owner) -> None:
    old = await registry.first_card(1)
    replacing = await registry.apply_again(1, ApplicationKind.REPLACE)
    assert replacing.application is not None
    await registry.begin(replacing.application)
    new = await registry.card_of(replacing.application)
    assert [await social(owner, card) for card in (old, new)] == [SocialStatus.NORMAL, SocialStatus.SEALED]
    assert (await registry.apply_again(1, ApplicationKind.REPLACE)).refusal is Refusal.APPLICATION_OPEN
    await registry.end(replacing.application)
    await registry.change(new, Verb.COLLECT)
    before = await owner.fetchval("select max(id) from card.event_outbox")
    enabled = await asyncio.gather(*(registry.change(new, Verb.ENABLE) for _ in range(8)))
    assert sum(changed.refusal is None for changed in enabled) == 1
    assert [await social(owner, card) for card in (old, new)] == [SocialStatus.CANCELLED, SocialStatus.NORMAL]
    assert await owner.fetchval("select successor from card.card where id = $1", old) == new
    announced = await owner.fetch("select card from card.event_outbox where id > $1 order by id", before)
    assert [row[0] for row in announced] == [old, new]


async def test_a_loss_between_application_and_switch_still_ends_in_one_live_card(registry: Registry, owner: Owner) -> None:
    old = await registry.first_card(1)
    replacing = await registry.apply_again(1, ApplicationKind.REPLACE)
    assert replacing.application is not None
    await registry.begin(replacing.application)
    await registry.change(old, Verb.REPORT_FORMAL_LOSS)
    assert (await registry.change(old, Verb.CANCEL)).refusal is Refusal.SUCCESSOR_IN_PRODUCTION
    await registry.end(replacing.application)
    new = await registry.card_of(replacing.application)
    for verb in (Verb.COLLECT, Verb.ENABLE):
        assert (await registry.change(new, verb)).refusal is None
    assert [await social(owner, card) for card in (old, new)] == [SocialStatus.CANCELLED, SocialStatus.NORMAL]


async def state(owner: Owner, application: int | None) -> tuple[ApplicationState, Step]:
    """Of an application, and the last step of its timeline."""
    row = await owner.fetchrow(
        """select a.state, s.step from card.application a join card.step s on s.application = a.id
           where a.id = $1 order by s.number desc limit 1""",
        application,
    )
    assert row is not None
    return ApplicationState(row[0]), Step(row[1])


async def goes_back(registry: Registry, application: int) -> bool:
    """Whether a fee that was taken is given back now, once it is handed out."""
    async with driver_session(registry.engine) as driver:
        fee = await read_fee(driver, application)
        assert fee is not None
        await move_fee(driver, fee, FeeState.TAKEN)
        assert await hand_out_fee(driver, application, CLERK.terminal) == fee.amount_fen
        (due,) = await fees_due(driver, 10)
    return next_move(due.state, completed=due.completed, in_vain=due.in_vain) is Move.RETURN


async def cancel(registry: Registry, card: int) -> Refusal | None:
    """In the holder's name, who has died; what is left goes to the heir."""
    change = Change(card, Verb.CANCEL, Party.HEIR, frozenset(Need), 1, PayTo.CASH)
    changed = await transact(
        registry.engine,
        lambda driver: change_card(driver, registry.sealing, registry.settings, change, CLERK, now_ms()),
    )
    return changed.refusal


async def paid_out(owner: Owner) -> list[int]:
    """Cards with which what was left on the account is paid out."""
    return [row[0] for row in await owner.fetch("select card from card.remainder order by card")]


async def nothing_is_left(registry: Registry, owner: Owner, number: int) -> bool:
    """No card that is not cancelled, and room for another application."""
    left = await owner.fetchval("select count(*) from card.card where social <> 9")
    (again,) = await registry.submit(submission(number))
    return not left and again.refusal is None


@pytest.mark.parametrize("collected", [False, True])
async def test_a_cancellation_takes_the_card_along_that_lies_there_in_its_place(
    registry: Registry, owner: Owner, collected: bool
) -> None:
    old = await registry.first_card(1)
    application = (await registry.apply_again(1, ApplicationKind.REPLACE)).application or 0
    await registry.begin(application)
    assert await cancel(registry, old) is Refusal.SUCCESSOR_IN_PRODUCTION
    await registry.end(application)
    if collected:
        await registry.change(await registry.card_of(application), Verb.COLLECT)
    assert await cancel(registry, old) is None
    assert await state(owner, application) == (ApplicationState.WITHDRAWN, Step.CANCEL)
    assert await goes_back(registry, application)
    assert await paid_out(owner) == [old]
    assert await nothing_is_left(registry, owner, 1)
    silent = "select count(*) from card.notification where kind = 8"  # nobody is told of their own death
    assert await owner.fetchval(silent) == 0


async def test_a_card_that_lies_there_is_given_up_alone_and_the_one_before_it_stays(registry: Registry, owner: Owner) -> None:
    old = await registry.first_card(1)
    application = (await registry.apply_again(1, ApplicationKind.REPLACE)).application or 0
    await registry.begin(application)
    new = await registry.card_of(application)
    assert await cancel(registry, new) is Refusal.STILL_IN_PRODUCTION
    await registry.end(application)
    assert await cancel(registry, new) is None
    assert [await social(owner, card) for card in (old, new)] == [SocialStatus.NORMAL, SocialStatus.CANCELLED]
    assert await state(owner, application) == (ApplicationState.WITHDRAWN, Step.CANCEL)
    assert await paid_out(owner) == []  # the money stays with the card that pays
    assert (await registry.apply_again(1, ApplicationKind.REPLACE)).refusal is None
    assert await cancel(registry, old) is None
    assert await paid_out(owner) == [old]


async def test_whoever_dies_before_the_first_card_is_fetched_leaves_nothing_open(registry: Registry, owner: Owner) -> None:
    (made,) = await registry.submit(submission(1))
    application = made.application or 0
    await registry.begin(application)
    await registry.end(application)
    card = await registry.card_of(application)
    assert await cancel(registry, card) is None
    assert await paid_out(owner) == [card]  # whatever an earlier card has left
    assert await nothing_is_left(registry, owner, 1)


@pytest.mark.parametrize("step", [None, Step.REFUSE])
async def test_a_cancellation_ends_what_was_applied_for_and_is_not_made_yet(
    registry: Registry, owner: Owner, step: Step | None
) -> None:
    old = await registry.first_card(1)
    application = (await registry.apply_again(1, ApplicationKind.REPLACE)).application or 0
    if step:
        await registry.step(application, step)
    assert await cancel(registry, old) is None
    assert await state(owner, application) == (ApplicationState.WITHDRAWN, Step.CANCEL)
    assert (await registry.begin(application)).refusal is Refusal.APPLICATION_ENDED
    assert await goes_back(registry, application)
    assert await nothing_is_left(registry, owner, 1)


async def test_while_the_bank_has_an_application_its_answer_is_waited_for(registry: Registry, owner: Owner) -> None:
    old = await registry.first_card(1)
    application = (await registry.apply_again(1, ApplicationKind.REPLACE)).application or 0
    await registry.step(application, Step.SEND_TO_BANK)
    assert await cancel(registry, old) is Refusal.APPLICATION_AT_BANK
    await registry.step(application, Step.BANK_REFUSE)
    assert await cancel(registry, old) is None
    assert await nothing_is_left(registry, owner, 1)


async def test_a_temporary_card_is_cancelled_by_itself(registry: Registry, owner: Owner) -> None:
    (made,) = await registry.submit(submission(1, wanted=replace(WANTED, kind=ApplicationKind.TEMPORARY)))
    temporary = await registry.hand_over(made.application or 0)
    (first,) = await registry.submit(submission(1))
    assert await cancel(registry, temporary) is None
    assert await state(owner, first.application) == (ApplicationState.APPLIED, Step.SUBMIT)
    assert await paid_out(owner) == []


async def test_no_card_is_made_for_whoever_has_none_to_replace_any_more(registry: Registry, owner: Owner) -> None:
    rules = replace(registry.settings.life, temporary_loss_cancels=True)
    registry.settings = replace(registry.settings, life=rules)
    applications = []
    for number in (1, 2):
        card = await registry.first_card(number)
        applications.append((await registry.apply_again(number, ApplicationKind.REPLACE)).application or 0)
        await registry.change(card, Verb.REPORT_TEMPORARY_LOSS, at_ms=now_ms() - 8 * 24 * 3600 * 1000)
        assert (await registry.change(card, Verb.EXPIRE_TEMPORARY_LOSS, Party.TIMER)).refusal is None
    at_bank, applied = applications
    await registry.step(at_bank, Step.SEND_TO_BANK)
    assert (await registry.begin(at_bank, Step.BANK_ACCEPT)).refusal is Refusal.NO_CARD_TO_REISSUE
    assert (await registry.begin(applied)).refusal is Refusal.NO_CARD_TO_REISSUE
    assert await state(owner, at_bank) == (ApplicationState.WITHDRAWN, Step.BAR)
    assert await state(owner, applied) == (ApplicationState.APPLIED, Step.SUBMIT)
    assert (await registry.step(applied, Step.WITHDRAW)).refusal is None
    assert await owner.fetchval("select count(*) from card.card where social <> 9") == 0
    assert await owner.fetchval("select cause from card.application where id = $1", at_bank) == Refusal.NO_CARD_TO_REISSUE
    assert await owner.fetchval("select subject from card.notification where kind = 2") == at_bank
    async with driver_session(registry.engine) as driver:
        assert await hand_out_fee(driver, at_bank, CLERK.terminal)  # nobody stood there, as at the withdrawal
        assert {fee.application for fee in await fees_due(driver, 10) if fee.in_vain} == {at_bank, applied}


async def test_a_loss_that_is_reported_meanwhile_bars_no_successor(registry: Registry) -> None:
    old = await registry.first_card(1)
    application = (await registry.apply_again(1, ApplicationKind.REPLACE)).application or 0
    await registry.change(old, Verb.REPORT_TEMPORARY_LOSS)
    assert (await registry.begin(application)).refusal is None


@pytest.mark.parametrize(
    ("verb", "to"), [(Verb.REPORT_FORMAL_LOSS, SocialStatus.FORMALLY_LOST), (Verb.CANCEL, SocialStatus.CANCELLED)]
)
async def test_what_must_never_happen_the_database_refuses_too(
    registry: Registry, owner: Owner, verb: Verb, to: SocialStatus
) -> None:
    card = await registry.first_card(1)
    await registry.change(card, verb)
    assert await social(owner, card) is to
    for statement in ("update card.card set social = 1 where id = $1", "update card.card set version = 1 where id = $1"):
        with pytest.raises(asyncpg.PostgresError, match=r"stays cancelled|never released|never goes back"):
            await owner.execute(statement, card)


async def test_the_role_of_the_service_can_neither_change_nor_remove_what_happened(registry: Registry) -> None:
    await registry.first_card(1)

    async def refused(statement: str) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with driver_session(registry.engine) as driver:
                await driver.execute(statement)

    for table in ("transition", "step", "audit"):
        await refused(f"update card.{table} set actor = 'nobody'")
        await refused(f"delete from card.{table}")
    await refused("delete from card.card")
    await refused("update card.card set card_identifier = 'x'")


async def test_many_verbs_at_once_on_one_card_are_done_one_after_the_other(registry: Registry, owner: Owner) -> None:
    card = await registry.first_card(1)
    verbs: list[Any] = [Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE, Verb.LOCK, Verb.UNLOCK] * 8
    party = {Verb.LOCK: Party.SYSTEM}
    await asyncio.gather(*(registry.change(card, verb, party.get(verb, Party.HOLDER_IN_PERSON)) for verb in verbs))
    versions = [row[0] for row in await owner.fetch("select version from card.transition where card = $1 order by 1", card)]
    assert versions == list(range(1, len(versions) + 1))
    stored = await owner.fetchrow(
        "select c.social, t.social, c.version from card.card c join card.transition t on t.card = c.id and t.version = c.version"
    )
    assert stored is not None
    assert (stored[0], stored[2]) == (stored[1], versions[-1])


async def test_an_application_that_was_taken_back_leaves_room_for_another(registry: Registry) -> None:
    (made,) = await registry.submit(submission(1))
    assert made.application is not None
    assert (await registry.step(made.application, Step.WITHDRAW)).refusal is None
    assert (await registry.step(made.application, Step.WITHDRAW)).refusal is Refusal.APPLICATION_ENDED
    (again,) = await registry.submit(submission(1))
    assert again.refusal is None
    assert again.holder == made.holder
