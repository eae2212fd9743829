"""People with a card each, who came by it as everybody does: through the product's own handlers."""

import asyncio
from functools import partial
from typing import Any, Final

from bench.database import LedgerCopy
from bench.people import OUTLET, person
from bench.registry import CardOffice, Registry
from onecard.card.v1.card_events_pb2 import CardEvent
from services.card.adapters.events import read_states
from services.card.api.forms import Form, read_person
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.application import ApplicationKind, Mode, Route, Step, Wanted
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.once import transact
from services.card.handlers.produce import Outcome, begin_production, end_production
from services.card.handlers.submit import CheckedPhoto, Submission, submit
from services.common.clock import SHANGHAI, instant, now_ms
from services.common.database import make_engine
from services.payments.adapters.callers import BACK_OFFICE
from services.payments.adapters.cards import Beat, CardProjection, decode_card_event
from services.payments.handlers.callers import grant

_SIDE_BY_SIDE: Final = 8
_WANTED: Final = Wanted(ApplicationKind.FIRST, Mode.ORDINARY, Route.SELF, OUTLET)
_ISSUANCE: Final = Actor(ActorKind.SERVICE, service="issuance")
_CARD_OF: Final = "select card from card.application where id = $1"
_CARDS: Final = "select id from card.card order by id"


async def holders_with_cards(office: CardOffice, registry: Registry, count: int) -> list[int]:
    """The first people, each with a card in hand; answers their numbers in the registry."""
    engine = make_engine(registry.application_url, "bench-seed", sessions=_SIDE_BY_SIDE)
    numbers = iter(range(count))
    holders: dict[int, int] = {}

    async def lane() -> None:
        for number in numbers:
            holders[number] = await _hand_over(office, partial(transact, engine), number)

    await asyncio.gather(*(lane() for _ in range(_SIDE_BY_SIDE)))
    await engine.dispose()
    await registry.connection.execute("vacuum analyze")
    return [holders[number] for number in range(count)]


async def known_to_payments(office: CardOffice, registry: Registry, ledger: LedgerCopy) -> None:
    """Payments hears of the cards, and the card service may ask it."""
    cards = [row[0] for row in await registry.connection.fetch(_CARDS)]
    states = (await read_states(registry.connection, office.sealing, cards)).values()
    events = (decode_card_event(CardEvent(state=state).SerializeToString()) for state in states)
    engine = make_engine(ledger.application_url, "bench-seed", sessions=1)
    await CardProjection(engine).store([event for event in events if not isinstance(event, Beat)], {})
    await engine.dispose()
    owner = make_engine(ledger.owner_url.replace("postgresql://", "postgresql+asyncpg://"), "bench-seed", sessions=1)
    await grant(owner, "card", BACK_OFFICE)
    await owner.dispose()


async def apply_for(office: CardOffice, transact: Any, number: int, photo: bytes = b"a photo") -> Any:
    """The application of the n-th person, through the product's own handler."""
    sealing, settings, clerk = office.sealing, office.settings, office.clerk
    form = read_person(settings.application, person(number), instant(now_ms()).astimezone(SHANGHAI).date())
    assert isinstance(form, Form), "our people's forms are right"
    one = Submission(_WANTED, form.document, form.person, photo=CheckedPhoto(photo))
    (made,) = await transact(lambda driver: submit(driver, sealing, settings, [one], clerk, now_ms()))
    return made


async def _hand_over(office: CardOffice, transact: Any, number: int) -> int:
    sealing, settings, clerk = office.sealing, office.settings, office.clerk
    made = await apply_for(office, transact, number)
    to = (sealing, settings, made.application)
    await transact(lambda driver: begin_production(driver, *to, Step.START_INSTANT, clerk, now_ms()))
    await transact(lambda driver: end_production(driver, *to, Outcome(made=True), _ISSUANCE, now_ms()))
    card = await transact(lambda driver: driver.fetchval(_CARD_OF, made.application))
    for verb in (Verb.COLLECT, Verb.ENABLE):
        change = Change(card, verb, Party.HOLDER_IN_PERSON, frozenset(Need))
        changed = await transact(lambda driver, change=change: change_card(driver, sealing, settings, change, clerk, now_ms()))
        assert changed.refusal is None, changed.refusal
    return int(made.holder)
