"""Who may apply for which card, and the way of an application."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from services.card.adapters.city_settings import CitySettingsError, read_city_settings
from services.card.domain.application import (
    ENDED,
    OPEN,
    STEPS,
    UNDERWAY,
    Applicant,
    ApplicationKind,
    ApplicationState,
    Mode,
    Papers,
    Relation,
    Route,
    Step,
    Wanted,
    advance,
    judge,
    no_room,
)
from services.card.domain.card import LIVE, Card, CardKind, FinancialStatus, Production, SocialStatus, Underway
from services.card.domain.consent import ConsentKind
from services.card.domain.fee import FeeSource
from services.card.domain.person import Person, Sex, age_on
from services.card.domain.refusal import Refusal

FILE = Path(__file__).parents[4] / "settings" / "jiangmen.toml"
SETTINGS = read_city_settings(FILE)
TODAY = date(2026, 11, 24)
PAPERS = Papers(Relation.PARENT, "李四", 1, "11010519491231002X", ("户口簿",))
FIRST = Wanted(ApplicationKind.FIRST, Mode.ORDINARY, Route.SELF, "440703-01")


def person(age: int = 30) -> Person:
    return Person("张三", date(TODAY.year - age, TODAY.month, TODAY.day), Sex.MALE)


def card(social: SocialStatus, **other: object) -> Card:
    made = Card(7, 1, "44", CardKind.ORDINARY, social, FinancialStatus.INACTIVE, Production.ISSUED, 1)
    return replace(made, **other)  # type: ignore[arg-type]  # the fields of a test


def judged(wanted: Wanted, applicant: Applicant) -> Refusal | None:
    return judge(SETTINGS, wanted, applicant, TODAY)


def test_anybody_of_age_without_a_card_may_apply() -> None:
    assert judged(FIRST, Applicant(person())) is None
    assert judged(FIRST, Applicant(person(), (card(SocialStatus.CANCELLED),))) is None


def test_below_the_citys_age_a_guardian_applies_with_papers_and_above_it_nobody_does() -> None:
    guardian = replace(FIRST, route=Route.GUARDIAN, papers=PAPERS)
    assert judged(FIRST, Applicant(person(15))) is Refusal.GUARDIAN_NEEDED
    assert judged(guardian, Applicant(person(15))) is None
    assert judged(replace(guardian, papers=None), Applicant(person(15))) is Refusal.PAPERS_MISSING
    agent = replace(guardian, papers=replace(PAPERS, relation=Relation.AGENT))
    assert judged(agent, Applicant(person(15))) is Refusal.GUARDIAN_NEEDED
    assert judged(guardian, Applicant(person(16))) is Refusal.NOT_A_MINOR  # the sixteenth birthday
    assert judged(FIRST, Applicant(person(16))) is None


def test_for_a_child_the_guardian_consents_and_nobody_consents_in_anothers_name() -> None:
    guardian = replace(FIRST, route=Route.GUARDIAN, papers=PAPERS)
    minor, finance = frozenset({ConsentKind.MINOR}), frozenset({ConsentKind.FINANCE})
    child = Applicant(person(13))
    assert judged(guardian, child) is Refusal.CONSENT_NEEDED
    assert judged(replace(guardian, consents=finance), child) is Refusal.CONSENT_NEEDED
    assert judged(replace(guardian, consents=minor), child) is None
    assert judged(guardian, replace(child, consents=minor)) is None
    agent = replace(PAPERS, relation=Relation.AGENT)
    assert judged(replace(guardian, papers=agent, consents=minor), child) is Refusal.GUARDIAN_NEEDED
    assert judged(replace(guardian, consents=minor), Applicant(person(14))) is Refusal.NOT_A_MINOR
    assert judged(replace(FIRST, consents=finance), Applicant(person())) is None
    proxy = replace(FIRST, route=Route.PROXY, papers=agent, consents=finance)
    assert judged(proxy, Applicant(person())) is Refusal.PROXY_MAY_NOT


def test_a_proxy_brings_papers_and_never_a_lost_or_damaged_card() -> None:
    proxy = replace(FIRST, route=Route.PROXY, papers=PAPERS)
    assert judged(proxy, Applicant(person())) is None
    assert judged(replace(proxy, papers=replace(PAPERS, papers=())), Applicant(person())) is Refusal.PAPERS_MISSING
    for kind in (ApplicationKind.REISSUE, ApplicationKind.REPLACE):
        wanted = replace(proxy, kind=kind, fee=FeeSource.CASH)
        assert judged(wanted, Applicant(person(), (card(SocialStatus.FORMALLY_LOST),))) is Refusal.PROXY_MAY_NOT


@pytest.mark.parametrize("social", [s for s in SocialStatus if s not in (SocialStatus.CANCELLED, SocialStatus.SEALED)])
def test_who_has_a_live_card_gets_no_first_one(social: SocialStatus) -> None:
    assert judged(FIRST, Applicant(person(), (card(social),))) is Refusal.LIVE_CARD_EXISTS


def test_who_has_an_open_application_is_told_of_it_before_anything_else_about_cards() -> None:
    assert judged(FIRST, Applicant(person(), (card(SocialStatus.NORMAL),), 12)) is Refusal.APPLICATION_OPEN


@pytest.mark.parametrize(
    ("kind", "social", "refusal"),
    [
        (ApplicationKind.REISSUE, SocialStatus.FORMALLY_LOST, None),
        (ApplicationKind.REISSUE, SocialStatus.NORMAL, Refusal.FORMAL_LOSS_FIRST),
        (ApplicationKind.REISSUE, SocialStatus.TEMPORARILY_LOST, Refusal.FORMAL_LOSS_FIRST),
        (ApplicationKind.REPLACE, SocialStatus.NORMAL, None),
        (ApplicationKind.REPLACE, SocialStatus.FORMALLY_LOST, None),
        (ApplicationKind.REPLACE, SocialStatus.LOCKED, Refusal.LOCKED),
        (ApplicationKind.REPLACE, SocialStatus.TEMPORARILY_LOST, Refusal.ALREADY_LOST),
    ],
)
def test_a_lost_card_is_reissued_and_a_damaged_one_replaced(
    kind: ApplicationKind, social: SocialStatus, refusal: Refusal | None
) -> None:
    wanted = replace(FIRST, kind=kind, fee=FeeSource.CASH)
    assert judged(wanted, Applicant(person(), (card(social),))) is refusal
    assert judged(wanted, Applicant(person())) is Refusal.NO_CARD_TO_REISSUE
    making = card(SocialStatus.FORMALLY_LOST, underway=Underway.IN_PRODUCTION)
    assert judged(wanted, Applicant(person(), (making,))) is Refusal.APPLICATION_OPEN


def test_the_first_card_is_free_and_another_one_is_paid() -> None:
    wanted = replace(FIRST, kind=ApplicationKind.REISSUE)
    lost = Applicant(person(), (card(SocialStatus.FORMALLY_LOST),))
    assert judged(wanted, lost) is Refusal.FEE_NOT_SETTLED
    waived = replace(wanted, fee=FeeSource.WAIVED)
    assert judged(waived, lost) is Refusal.SECOND_PERSON_NEEDED
    for paid in (
        *(replace(wanted, fee=source) for source in FeeSource if source is not FeeSource.WAIVED),
        replace(waived, waiver_approved=True),
    ):
        assert judged(paid, lost) is None


def test_who_has_had_no_card_has_no_purse_to_pay_from() -> None:
    settings = replace(SETTINGS, fee=replace(SETTINGS.fee, first_fen=1_000))
    wanted = replace(FIRST, fee=FeeSource.PURSE)
    assert judge(settings, wanted, Applicant(person()), TODAY) is Refusal.NO_PURSE_YET
    assert judge(settings, replace(wanted, fee=FeeSource.CASH), Applicant(person()), TODAY) is None
    assert judge(settings, wanted, Applicant(person(), (card(SocialStatus.CANCELLED),)), TODAY) is None


def test_an_ordinary_application_goes_from_the_counter_to_the_hand() -> None:
    state = ApplicationState.AWAITING_PHOTO
    for step in (Step.ADD_PHOTO, Step.SEND_TO_BANK, Step.BANK_ACCEPT, Step.PRODUCE, Step.COLLECT, Step.ENABLE):
        after = advance(state, step)
        assert isinstance(after, ApplicationState)
        state = after
    assert state is ApplicationState.COMPLETED


def test_a_step_that_is_not_possible_says_why() -> None:
    assert advance(ApplicationState.IN_PRODUCTION, Step.WITHDRAW) is Refusal.APPLICATION_BEYOND_RECALL
    assert advance(ApplicationState.AT_BANK, Step.WITHDRAW) is Refusal.APPLICATION_AT_BANK
    assert advance(ApplicationState.APPLIED, Step.RESUBMIT) is Refusal.NOT_REFUSED
    assert advance(ApplicationState.AWAITING_PHOTO, Step.SEND_TO_BANK) is Refusal.PHOTO_AWAITED
    for state in ENDED:
        for step in STEPS:
            assert advance(state, step) is Refusal.APPLICATION_ENDED
    assert set(STEPS) | {Step.SUBMIT} == set(Step)
    assert OPEN | ENDED | {ApplicationState.REFUSED} == set(ApplicationState)
    assert set(UNDERWAY) == OPEN


def test_what_ends_with_a_card_is_neither_at_the_bank_nor_in_production() -> None:
    for state, underway in UNDERWAY.items():
        assert isinstance(advance(state, Step.CANCEL), ApplicationState) is (underway is Underway.CAN_END)


def test_before_a_card_is_made_there_must_be_room_for_it_and_a_loss_takes_none() -> None:
    for social in LIVE:
        ordinary = Applicant(person(), (card(social),))
        temporary = Applicant(person(), (card(social, kind=CardKind.TEMPORARY),))
        assert no_room(ApplicationKind.FIRST, ordinary) is Refusal.LIVE_CARD_EXISTS
        assert no_room(ApplicationKind.TEMPORARY, ordinary) is None
        assert no_room(ApplicationKind.TEMPORARY, temporary) is Refusal.LIVE_CARD_EXISTS
        for kind in (ApplicationKind.REISSUE, ApplicationKind.REPLACE):
            assert no_room(kind, ordinary) is None
            assert no_room(kind, temporary) is Refusal.NO_CARD_TO_REISSUE


def test_age_is_counted_by_birthdays() -> None:
    assert age_on(date(2010, 11, 24), TODAY) == 16
    assert age_on(date(2010, 11, 25), TODAY) == 15
    assert age_on(date(2008, 2, 29), date(2026, 2, 28)) == 17


def test_a_setting_that_is_missing_wrong_or_unknown_is_named(tmp_path: Path) -> None:
    text = FILE.read_text()
    for was, told in (
        ("years = 10", ""),
        ("years = 10", 'years = "ten"'),
        ("years = 10", "years = 10\nyeers = 11"),
        ('instant = "preaccepted"', 'instant = "sometimes"'),
        ('foreign_number = "none"', 'foreign_number = "allocate"'),  # it would promise a number that nobody draws
    ):
        assert was in text
        file = tmp_path / "city.toml"
        file.write_text(text.replace(was, told))
        with pytest.raises(CitySettingsError, match=r"card|bank|yeers|foreign_number"):
            read_city_settings(file)
