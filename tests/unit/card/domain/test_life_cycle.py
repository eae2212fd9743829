"""The life of a card, row by row of its table."""

from dataclasses import replace
from datetime import date

import pytest

from services.card.domain.card import LIVE, Card, CardKind, ElectronicLevel, FinancialStatus, Production, SocialStatus, Underway
from services.card.domain.life_cycle import TABLE, LifeRules, Need, Party, Shown, Verb, allowed, decide, needs_of
from services.card.domain.refusal import SENTENCES, Refusal, sentence

RULES = LifeRules(temporary_loss_days=7, temporary_loss_cancels=False, temporary_card_days=60, temporary_card_longest_days=180)
NOW_MS = 1_764_000_000_000
TODAY = date(2026, 11, 24)
DAY_MS = 86_400_000
EVERYTHING = frozenset(Need)
PERSONAL = frozenset({Party.HOLDER_IN_PERSON, Party.HOLDER_REMOTE, Party.GUARDIAN, Party.PROXY, Party.HEIR})


def card(social: SocialStatus = SocialStatus.NORMAL, **other: object) -> Card:
    made = Card(
        1,
        4294967296,
        "440700",
        CardKind.ORDINARY,
        social,
        FinancialStatus.INACTIVE,
        Production.ISSUED,
        3,
        has_bank_account=True,
    )
    return replace(made, **other)  # type: ignore[arg-type]  # the fields of a test


def shown(party: Party = Party.HOLDER_IN_PERSON, needs: frozenset[Need] = EVERYTHING, now_ms: int = NOW_MS) -> Shown:
    return Shown(party, now_ms, TODAY, needs)


def after(found: Card, verb: Verb, party: Party = Party.HOLDER_IN_PERSON, needs: frozenset[Need] = EVERYTHING) -> Card:
    moved = decide(RULES, found, verb, shown(party, needs))
    assert isinstance(moved, Card), moved.name
    return moved


def refusal(found: Card, verb: Verb, party: Party = Party.HOLDER_IN_PERSON, needs: frozenset[Need] = EVERYTHING) -> Refusal:
    refused = decide(RULES, found, verb, shown(party, needs))
    assert isinstance(refused, Refusal), refused
    return refused


SEALED, NORMAL, FORMAL = SocialStatus.SEALED, SocialStatus.NORMAL, SocialStatus.FORMALLY_LOST
LOCKED, TEMPORARY, CANCELLED = SocialStatus.LOCKED, SocialStatus.TEMPORARILY_LOST, SocialStatus.CANCELLED


@pytest.mark.parametrize(
    ("verb", "party", "froms", "to"),
    [
        (Verb.ENABLE, Party.HOLDER_REMOTE, {SEALED}, NORMAL),
        (Verb.REPORT_TEMPORARY_LOSS, Party.HOLDER_REMOTE, {NORMAL}, TEMPORARY),
        (Verb.RELEASE, Party.HOLDER_IN_PERSON, {TEMPORARY}, NORMAL),
        (Verb.REPORT_FORMAL_LOSS, Party.PROXY, {NORMAL, TEMPORARY, LOCKED}, FORMAL),
        (Verb.LOCK, Party.SYSTEM, {NORMAL}, LOCKED),
        (Verb.UNLOCK, Party.HOLDER_IN_PERSON, {LOCKED}, NORMAL),
        (Verb.RESET_PIN, Party.HOLDER_IN_PERSON, {NORMAL, LOCKED}, NORMAL),
        (Verb.CANCEL, Party.HEIR, {SEALED, NORMAL, FORMAL, LOCKED, TEMPORARY}, CANCELLED),
        (Verb.SUPERSEDE, Party.SYSTEM, {NORMAL, FORMAL, LOCKED, TEMPORARY}, CANCELLED),
    ],
)
def test_a_verb_leads_from_its_states_to_one_and_from_no_other(
    verb: Verb, party: Party, froms: set[SocialStatus], to: SocialStatus
) -> None:
    for social in SocialStatus:
        found = card(social)
        if social in froms:
            moved = after(found, verb, party)
            assert (moved.social, moved.version) == (to, found.version + 1)
        else:
            refusal(found, verb, party)


def test_a_formal_loss_is_never_released() -> None:
    for party in Party:
        assert refusal(card(FORMAL), Verb.RELEASE, party) is Refusal.FORMAL_LOSS_IS_FINAL


def test_a_cancelled_card_stays_cancelled_whatever_is_asked() -> None:
    for verb in Verb:
        for party in Party:
            assert refusal(card(CANCELLED), verb, party) is Refusal.CANCELLED


def test_nobody_but_the_holder_in_person_unlocks_a_card_or_resets_its_pin() -> None:
    for verb in (Verb.UNLOCK, Verb.RESET_PIN):
        for party in Party:
            if party is not Party.HOLDER_IN_PERSON:
                expected = Refusal.PROXY_MAY_NOT if party is Party.PROXY else Refusal.NOT_BY_THIS_PARTY
                assert refusal(card(LOCKED), verb, party) is expected


def test_a_proxy_may_report_a_formal_loss_with_papers_and_nothing_else() -> None:
    for verb, rule in TABLE.items():
        assert (Party.PROXY in rule.parties) is (verb is Verb.REPORT_FORMAL_LOSS)
    assert refusal(card(), Verb.REPORT_FORMAL_LOSS, Party.PROXY, frozenset({Need.IDENTITY_VERIFIED})) is Refusal.PAPERS_MISSING


@pytest.mark.parametrize("verb", list(Verb))
def test_each_need_is_asked_for_by_itself(verb: Verb) -> None:
    for social in TABLE[verb].social:
        made = {Verb.COLLECT: Production.AT_OUTLET, Verb.PRODUCE: Production.FACTORY, Verb.ABANDON: Production.FACTORY}
        production = made.get(verb, Production.ISSUED)
        kind = CardKind.TEMPORARY if verb in (Verb.EXTEND, Verb.EXPIRE_CARD) else CardKind.ORDINARY
        on_bank = {Verb.ASK_BANK_AGAIN: FinancialStatus.BANK_REFUSED, Verb.RAISE_LEVEL: FinancialStatus.ACTIVE}
        financial = on_bank.get(verb, FinancialStatus.INACTIVE)
        electronic = ElectronicLevel.QUERY if verb > Verb.SIGN_UP else ElectronicLevel.NONE
        found = card(
            social,
            production=production,
            kind=kind,
            financial=financial,
            electronic=electronic,
            issue_date=TODAY,
            valid_until=date(2026, 11, 23),
        )
        for party in TABLE[verb].parties:
            needs = needs_of(found, verb, party)
            assert isinstance(decide(RULES, found, verb, shown(party, needs)), Card)
            for need in needs:
                assert isinstance(decide(RULES, found, verb, shown(party, needs - {need})), Refusal)


def test_a_card_is_collected_where_it_lies_and_only_then_enabled() -> None:
    waiting = card(SEALED, production=Production.FACTORY)
    assert refusal(waiting, Verb.COLLECT) is Refusal.NOT_AT_OUTLET
    arrived = replace(waiting, production=Production.AT_OUTLET)
    assert refusal(arrived, Verb.ENABLE) is Refusal.NOT_COLLECTED
    collected = after(arrived, Verb.COLLECT)
    assert (collected.social, collected.production) == (SEALED, Production.ISSUED)
    assert refusal(collected, Verb.COLLECT) is Refusal.ALREADY_COLLECTED
    assert after(collected, Verb.ENABLE).social is NORMAL


def test_a_card_is_produced_once_and_not_after_it_was_abandoned() -> None:
    making = card(SEALED, production=Production.BATCHED)
    made = after(making, Verb.PRODUCE, Party.ISSUANCE)
    assert (made.social, made.production) == (SEALED, Production.AT_OUTLET)
    assert refusal(made, Verb.PRODUCE, Party.ISSUANCE) is Refusal.ALREADY_MADE
    for verb in (Verb.PRODUCE, Verb.ABANDON):
        assert refusal(card(), verb, Party.ISSUANCE) is Refusal.ALREADY_MADE
    assert after(making, Verb.ABANDON, Party.ISSUANCE).social is CANCELLED


def test_a_card_that_lies_at_its_outlet_can_still_be_spoiled_and_nobodys_hand_is_emptied() -> None:
    made = card(SEALED, production=Production.AT_OUTLET, financial=FinancialStatus.INACTIVE)
    spoiled = after(made, Verb.ABANDON, Party.ISSUANCE)
    assert (spoiled.social, spoiled.financial) == (CANCELLED, FinancialStatus.CLOSED)
    collected = after(made, Verb.COLLECT)
    assert refusal(collected, Verb.ABANDON, Party.ISSUANCE) is Refusal.ALREADY_COLLECTED


def test_the_axes_are_kept_apart() -> None:
    active = after(card(), Verb.ACTIVATE, Party.BANK, frozenset())
    assert (active.social, active.financial) == (NORMAL, FinancialStatus.ACTIVE)
    lost = after(active, Verb.REPORT_FORMAL_LOSS)
    assert (lost.social, lost.financial) == (FORMAL, FinancialStatus.ACTIVE)
    assert after(lost, Verb.SUPERSEDE, Party.SYSTEM).financial is FinancialStatus.CLOSED
    refused = card(financial=FinancialStatus.BANK_REFUSED, has_bank_account=False)
    assert refusal(refused, Verb.ACTIVATE) is Refusal.REFUSED_BY_BANK
    assert after(refused, Verb.ASK_BANK_AGAIN).financial is FinancialStatus.INACTIVE
    assert refusal(after(refused, Verb.ASK_BANK_AGAIN), Verb.ACTIVATE) is Refusal.NO_BANK_ACCOUNT
    assert after(refused, Verb.REPORT_TEMPORARY_LOSS).social is TEMPORARY


def test_a_temporary_loss_ends_at_its_time_and_not_before() -> None:
    lost = after(card(), Verb.REPORT_TEMPORARY_LOSS, Party.HOLDER_REMOTE)
    assert lost.loss_until_ms == NOW_MS + 7 * DAY_MS
    early = decide(RULES, lost, Verb.EXPIRE_TEMPORARY_LOSS, shown(Party.TIMER, now_ms=lost.loss_until_ms - 1))
    assert early is Refusal.NOT_DUE
    ended = decide(RULES, lost, Verb.EXPIRE_TEMPORARY_LOSS, shown(Party.TIMER, now_ms=lost.loss_until_ms))
    assert isinstance(ended, Card)
    assert (ended.social, ended.loss_until_ms) == (NORMAL, 0)


def test_a_city_may_let_a_temporary_loss_end_in_cancellation() -> None:
    lost = after(card(), Verb.REPORT_TEMPORARY_LOSS)
    rules = replace(RULES, temporary_loss_cancels=True)
    ended = decide(rules, lost, Verb.EXPIRE_TEMPORARY_LOSS, shown(Party.TIMER, now_ms=lost.loss_until_ms))
    assert isinstance(ended, Card)
    assert ended.social is CANCELLED


def test_a_new_card_is_handed_over_against_the_old_one_unless_that_is_lost() -> None:
    needs = EVERYTHING - {Need.OLD_CARD_RETURNED}
    new = card(SEALED, production=Production.AT_OUTLET, predecessor=7)
    assert after(new, Verb.COLLECT, needs=needs).production is Production.ISSUED
    in_hand = replace(new, predecessor_in_hand=True)
    assert refusal(in_hand, Verb.COLLECT, needs=needs) is Refusal.OLD_CARD_NOT_RETURNED
    assert after(in_hand, Verb.COLLECT).production is Production.ISSUED


def test_another_card_is_not_asked_for_while_something_is_applied_for() -> None:
    for verb in (Verb.REISSUE, Verb.REPLACE):
        for underway in Underway:
            assert refusal(card(FORMAL, underway=underway), verb) is Refusal.APPLICATION_OPEN
        assert refusal(card(FORMAL, kind=CardKind.TEMPORARY), verb) is Refusal.NO_SUCCESSOR_OF_TEMPORARY_CARDS


def test_a_card_is_cancelled_once_nobody_else_is_busy_with_what_its_holder_applied_for() -> None:
    why_not = {Underway.AT_BANK: Refusal.APPLICATION_AT_BANK, Underway.IN_PRODUCTION: Refusal.SUCCESSOR_IN_PRODUCTION}
    for underway in Underway:
        found = card(underway=underway)
        decided = decide(RULES, found, Verb.CANCEL, shown(Party.HEIR))
        assert decided == why_not[underway] if underway in why_not else isinstance(decided, Card)
        assert after(replace(found, kind=CardKind.TEMPORARY), Verb.CANCEL).social is CANCELLED  # it ends alone
    making = card(SEALED, production=Production.BATCHED, underway=Underway.IN_PRODUCTION)
    assert refusal(making, Verb.CANCEL) is Refusal.STILL_IN_PRODUCTION
    assert after(replace(making, production=Production.AT_OUTLET), Verb.CANCEL).social is CANCELLED


def test_a_card_that_is_made_says_what_comes_first() -> None:
    for production, reason in (
        (Production.BATCHED, Refusal.STILL_IN_PRODUCTION),
        (Production.AT_OUTLET, Refusal.NOT_COLLECTED),
        (Production.ISSUED, Refusal.NOT_ENABLED),
    ):
        assert refusal(card(SEALED, production=production), Verb.REPORT_FORMAL_LOSS) is reason


def test_a_temporary_card_is_extended_up_to_its_longest_term() -> None:
    found = card(kind=CardKind.TEMPORARY, financial=FinancialStatus.NONE, issue_date=TODAY, valid_until=date(2027, 1, 23))
    longer = after(found, Verb.EXTEND)
    assert longer.valid_until == date(2027, 3, 24)
    longest = after(longer, Verb.EXTEND)
    assert longest.valid_until == date(2027, 5, 23)  # 180 days
    assert refusal(longest, Verb.EXTEND) is Refusal.LONGEST_TERM_REACHED
    assert dict(allowed(RULES, longest))[Verb.EXTEND] is Refusal.LONGEST_TERM_REACHED
    assert dict(allowed(RULES, longer))[Verb.EXTEND] is None
    assert refusal(found, Verb.ACTIVATE) is Refusal.NO_FINANCIAL_FUNCTION
    assert refusal(found, Verb.EXPIRE_CARD, Party.TIMER) is Refusal.NOT_DUE
    ended = decide(RULES, found, Verb.EXPIRE_CARD, Shown(Party.TIMER, NOW_MS, date(2027, 1, 24)))
    assert isinstance(ended, Card)
    assert (ended.social, ended.financial) == (CANCELLED, FinancialStatus.NONE)


def test_what_is_allowed_is_what_the_table_does() -> None:
    for social in SocialStatus:
        for production in Production:
            found = card(social, production=production)
            for verb, refused in allowed(RULES, found):
                for party in TABLE[verb].parties & PERSONAL:
                    decided = decide(RULES, found, verb, shown(party))
                    assert decided == refused if refused else isinstance(decided, Card)


def test_every_verb_has_its_row_and_every_refusal_its_sentence() -> None:
    assert set(TABLE) == set(Verb)
    assert set(SENTENCES) == set(Refusal)
    for reason in Refusal:
        assert sentence(reason).endswith("。")
    assert frozenset({NORMAL, FORMAL, LOCKED, TEMPORARY}) == LIVE
