"""A card service without its edge: a vault, the city's settings, and people who apply."""

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from stdnum.iso7064 import mod_11_2

from services.card.adapters.city_settings import read_city_settings
from services.card.adapters.passwords import StoredPassword
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor, ActorKind, Role
from services.card.domain.application import ApplicationKind, Mode, Route, Step, Wanted
from services.card.domain.document import Document, DocumentKind, parse_document
from services.card.domain.fee import FeeSource
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.domain.person import LookupField, Person
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, Changed, change_card
from services.card.handlers.handle_application import Handled, handle_application
from services.card.handlers.once import transact
from services.card.handlers.produce import Outcome, begin_production, end_production
from services.card.handlers.submit import CheckedPhoto, Decided, Submission, submit
from services.card.keys import KEYS
from services.common.clock import day_of
from services.common.database import driver_session
from services.common.keyvault.software import Hardness, SoftwareVault, create_token
from tests.support.town import now_ms

CLERK = Actor(ActorKind.STAFF, 7, frozenset({Role.CLERK}), 1, "onecard://merchant/CITY-HALL/terminal/WINDOW-1", "440703-01")
ISSUANCE = Actor(ActorKind.SERVICE, service="issuance")
SETTINGS = Path(__file__).parents[2] / "settings" / "jiangmen.toml"
TODAY = date(2026, 11, 24)
WANTED = Wanted(ApplicationKind.FIRST, Mode.ORDINARY, Route.SELF, "440703-01")

_numbers = count(1)


@cache
def city_settings() -> CitySettings:
    return read_city_settings(SETTINGS)


def make_vault(folder: Path) -> SoftwareVault:
    vault = create_token(
        folder / f"card-{next(_numbers)}.token", "card", "pin of a test", "pin of another", hardness=Hardness(1, 64, 1)
    )
    for label, purpose in KEYS.items():
        vault.add_version(label, purpose)
    return vault


def citizen_number(number: int) -> str:
    """Of the n-th person, who was born on 1 January 1990, or a day later for each thousand."""
    born = date(1990, 1, 1) + timedelta(number // 1000)
    return number_born(born, number % 1000)


def number_born(born: date, of_the_day: int = 1) -> str:
    """Of somebody born on a day."""
    seventeen = f"440703{born:%Y%m%d}{of_the_day:03}"
    return seventeen + mod_11_2.calc_check_digit(seventeen)


def document(number: int) -> Document:
    found = parse_document(DocumentKind.RESIDENT_ID, citizen_number(number), TODAY)
    assert isinstance(found, Document)
    return found


def submission(number: int, *, name: str = "", photo: bool = True, **other: Any) -> Submission:
    """One application of the n-th person."""
    shown = document(number)
    assert shown.birth_date is not None
    person = Person(
        name or "李" + chr(0x4E00 + number),
        shown.birth_date,
        shown.sex,
        "01",
        "13812345678",
        social_security_number=shown.number,
    )
    made = Submission(WANTED, shown, person, photo=CheckedPhoto(b"a photo") if photo else None)
    return replace(made, **other)


def minors_submission() -> Submission:
    """Of somebody of 17, who may apply alone."""
    born = day_of(now_ms()) - timedelta(17 * 365 + 30)
    shown = parse_document(DocumentKind.RESIDENT_ID, number_born(born), TODAY)
    assert isinstance(shown, Document)
    grown = submission(1)
    person = replace(grown.person, name="李小某", birth_date=born, social_security_number=shown.number)
    return replace(grown, document=shown, person=person)


def passport_of(number: int) -> Submission:
    """The n-th person, who shows a passport."""
    passport = parse_document(DocumentKind.PASSPORT, f"E{number:08}", TODAY, "GBR")
    assert isinstance(passport, Document)
    citizen = submission(number)
    return replace(
        citizen,
        document=passport,
        person=replace(citizen.person, nationality="", social_security_number=passport.social_security_number),
    )


class Registry:
    """The handlers, on a database of one's own."""

    def __init__(self, engine: AsyncEngine, vault: SoftwareVault) -> None:
        self.engine = engine
        self.vault = vault
        self.sealing = Sealing(vault)
        self.settings = city_settings()

    @staticmethod
    def ssn_of(number: int) -> tuple[LookupField, str]:
        """What the n-th person is found by."""
        return LookupField.SOCIAL_SECURITY_NUMBER, citizen_number(number)

    async def submit(self, *submissions: Submission, actor: Actor = CLERK) -> list[Decided]:
        return await transact(
            self.engine,
            lambda driver: submit(driver, self.sealing, self.settings, submissions, actor, now_ms()),
        )

    async def step(self, application: int, step: Step, at_ms: int = 0) -> Handled:
        """A step that has nothing to do with a card."""
        return await transact(
            self.engine, lambda driver: handle_application(driver, self.sealing, application, step, CLERK, at_ms or now_ms())
        )

    async def begin(self, application: int, step: Step = Step.START_INSTANT) -> Handled:
        return await transact(
            self.engine,
            lambda driver: begin_production(driver, self.sealing, self.settings, application, step, CLERK, now_ms()),
        )

    async def end(self, application: int, *, made: bool = True, bank_account: str = "", card_identifier: str = "") -> Handled:
        outcome = Outcome(made, bank_account, card_identifier)
        return await transact(
            self.engine,
            lambda driver: end_production(driver, self.sealing, self.settings, application, outcome, ISSUANCE, now_ms()),
        )

    async def change(
        self,
        card: int,
        verb: Verb,
        party: Party = Party.HOLDER_IN_PERSON,
        needs: frozenset[Need] = frozenset(Need),
        at_ms: int = 0,
        password: StoredPassword | None = None,
    ) -> Changed:
        change = Change(card, verb, party, needs, electronic_password=password)
        return await transact(
            self.engine, lambda driver: change_card(driver, self.sealing, self.settings, change, CLERK, at_ms or now_ms())
        )

    async def card_of(self, application: int) -> int:
        async with driver_session(self.engine) as driver:
            card: int = await driver.fetchval("select card from card.application where id = $1", application)
        return card

    async def hand_over(self, application: int) -> int:
        """From the application to the normal card in the holder's hand; answers the card."""
        for handled in (await self.begin(application), await self.end(application)):
            assert handled.refusal is None, handled.refusal
        card = await self.card_of(application)
        for verb in (Verb.COLLECT, Verb.ENABLE):
            changed = await self.change(card, verb)
            assert changed.refusal is None, changed.refusal
        return card

    async def first_card(self, number: int) -> int:
        """A normal card of the n-th person."""
        (made,) = await self.submit(submission(number))
        assert made.application is not None
        return await self.hand_over(made.application)

    async def apply_again(self, number: int, kind: ApplicationKind) -> Decided:
        """For another card in place of the one that the n-th person has."""
        wanted = replace(WANTED, kind=kind, fee=FeeSource.CASH)
        (decided,) = await self.submit(submission(number, wanted=wanted))
        return decided
