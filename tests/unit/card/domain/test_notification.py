"""What people are told: which acts are worth a message, in words that name nobody."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from services.card.adapters.city_settings import CitySettingsError, read_city_settings
from services.card.domain.application import Mode, Step
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.notification import (
    PLACES,
    NotificationKind,
    SendingRules,
    Texts,
    next_try_ms,
)
from services.card.domain.occasion import of_step, of_verb
from tests.support.cardholders import SETTINGS, city_settings

HOUR_MS = 3600 * 1000


def test_each_kind_has_words_and_they_may_name_no_person() -> None:
    assert {field.name.upper() for field in fields(Texts)} == {kind.name for kind in NotificationKind}
    assert set().union(*PLACES.values()) == {"application", "outlet", "day", "cause", "card"}
    texts = city_settings().message
    for kind, places in PLACES.items():
        said = texts.text(kind, {place: f"<{place}>" for place in places})
        assert all(f"<{place}>" in said for place in places), kind
        assert len(said) <= 120


def test_words_that_name_what_there_is_not_are_refused_with_their_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lost: it may name card"):
        replace(city_settings().message, lost="{name}的卡已挂失")
    file = tmp_path / "city.toml"
    file.write_text(SETTINGS.read_text().replace("尾号{card}的社会保障卡已注销", "{name}已注销"))
    with pytest.raises(CitySettingsError, match="cancelled: it may name card"):
        read_city_settings(file)


@pytest.mark.parametrize(
    ("step", "mode", "cause", "told"),
    [
        (Step.ADD_PHOTO, Mode.ORDINARY, 0, NotificationKind.ACCEPTED),
        (Step.RESUBMIT, Mode.ORDINARY, 0, NotificationKind.ACCEPTED),
        (Step.REFUSE, Mode.ORDINARY, 72, NotificationKind.REFUSED),
        (Step.BANK_REFUSE, Mode.ORDINARY, 71, NotificationKind.REFUSED),
        (Step.WITHDRAW, Mode.ORDINARY, 0, None),
        (Step.WITHDRAW, Mode.ORDINARY, 40, NotificationKind.REFUSED),
        (Step.PRODUCE, Mode.ORDINARY, 0, NotificationKind.READY),
        (Step.PRODUCE, Mode.INSTANT, 0, None),
        (Step.SEND_TO_BANK, Mode.ORDINARY, 0, None),
    ],
)
def test_an_applicant_is_told_what_concerns_them(step: Step, mode: Mode, cause: int, told: NotificationKind | None) -> None:
    assert of_step(step, mode, cause) is told


@pytest.mark.parametrize(
    ("verb", "party", "to", "told"),
    [
        (Verb.REPORT_TEMPORARY_LOSS, Party.HOLDER_REMOTE, SocialStatus.TEMPORARILY_LOST, NotificationKind.LOST),
        (Verb.REPORT_FORMAL_LOSS, Party.PROXY, SocialStatus.FORMALLY_LOST, NotificationKind.LOST),
        (Verb.RELEASE, Party.HOLDER_IN_PERSON, SocialStatus.NORMAL, NotificationKind.RELEASED),
        (Verb.EXPIRE_TEMPORARY_LOSS, Party.TIMER, SocialStatus.NORMAL, NotificationKind.RELEASED),
        (Verb.EXPIRE_TEMPORARY_LOSS, Party.TIMER, SocialStatus.CANCELLED, NotificationKind.CANCELLED),
        (Verb.ENABLE, Party.HOLDER_IN_PERSON, SocialStatus.NORMAL, NotificationKind.NEW_CARD),
        (Verb.SUPERSEDE, Party.SYSTEM, SocialStatus.CANCELLED, None),
        (Verb.ABANDON, Party.ISSUANCE, SocialStatus.CANCELLED, None),
        (Verb.EXPIRE_CARD, Party.TIMER, SocialStatus.CANCELLED, NotificationKind.CANCELLED),
        (Verb.CANCEL, Party.HOLDER_IN_PERSON, SocialStatus.CANCELLED, NotificationKind.CANCELLED),
        (Verb.CANCEL, Party.HEIR, SocialStatus.CANCELLED, None),
        (Verb.COLLECT, Party.HOLDER_IN_PERSON, SocialStatus.SEALED, None),
    ],
)
def test_a_holder_is_told_what_was_done_to_the_card(
    verb: Verb, party: Party, to: SocialStatus, told: NotificationKind | None
) -> None:
    assert of_verb(verb, party, to) is told


def test_pauses_grow_to_an_hour_and_end_with_the_day() -> None:
    rules = SendingRules(retry_seconds=30, give_up_hours=24)
    pauses = [next_try_ms(rules, attempts, 0, 1000) for attempts in (0, 1, 2, 6, 7, 30_000)]
    assert pauses == [31_000, 61_000, 121_000, 1000 + 1_920_000, 1000 + HOUR_MS, 1000 + HOUR_MS]
    assert next_try_ms(rules, 3, 0, 24 * HOUR_MS - 1) is not None
    assert next_try_ms(rules, 3, 0, 24 * HOUR_MS) is None
