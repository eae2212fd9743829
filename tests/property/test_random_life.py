"""Random lives of cards on a real database, held against the rules written once more: who has which card, and how it stands."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import count, cycle
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cli.servers.postgres import Postgres
from services.card.adapters.events import event_of, read_states
from services.card.adapters.money import move_fee, read_fee
from services.card.domain.application import ApplicationKind, Step
from services.card.domain.card import CardKind, FinancialStatus
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.handlers.keep_time import KeepTime
from services.common.clock import SHANGHAI, instant
from services.common.database import driver_session, make_engine
from services.payments.adapters.cards import decode_card_event
from tests.support.cardholders import WANTED, Registry, make_vault, submission
from tests.support.databases import drop_database, make_database
from tests.support.town import now_ms

T = TypeVar("T")

PEOPLE = 2
DAY_MS = 24 * 3600 * 1000
NORMAL, FORMAL, LOCKED, TEMPORARY = "normal", "formally lost", "locked", "temporarily lost"
CODES = {1: NORMAL, 2: FORMAL, 3: LOCKED, 4: TEMPORARY, 9: "cancelled", 0: "sealed"}
IN_PERSON, REMOTE, GUARDIAN, PROXY = Party.HOLDER_IN_PERSON, Party.HOLDER_REMOTE, Party.GUARDIAN, Party.PROXY

# What the glossary's table says: from where, by whom, to where.
CHANGES: dict[Verb, tuple[set[str], set[Party], str]] = {
    Verb.REPORT_TEMPORARY_LOSS: ({NORMAL}, {IN_PERSON, REMOTE, GUARDIAN}, TEMPORARY),
    Verb.RELEASE: ({TEMPORARY}, {IN_PERSON, REMOTE, GUARDIAN}, NORMAL),
    Verb.REPORT_FORMAL_LOSS: ({NORMAL, TEMPORARY, LOCKED}, {IN_PERSON, GUARDIAN, PROXY}, FORMAL),
    Verb.LOCK: ({NORMAL}, {Party.SYSTEM}, LOCKED),
    Verb.UNLOCK: ({LOCKED}, {IN_PERSON}, NORMAL),
    Verb.RESET_PIN: ({NORMAL, LOCKED}, {IN_PERSON}, NORMAL),
    Verb.ACTIVATE: ({NORMAL}, {IN_PERSON, GUARDIAN, Party.BANK}, NORMAL),
    Verb.EXTEND: (set(), set(), NORMAL),  # of temporary cards alone
    Verb.EXPIRE_CARD: (set(), set(), "cancelled"),
    Verb.CANCEL: ({NORMAL, FORMAL, LOCKED, TEMPORARY}, {IN_PERSON, GUARDIAN, Party.HEIR}, "cancelled"),
}
LIKELY = [(verb, party) for verb, (_, parties, _) in CHANGES.items() for party in sorted(parties) if verb is not Verb.CANCEL]
ALL = [(verb, party) for verb in CHANGES for party in Party]


@dataclass
class Model:
    """One person: the live card, and the application with what is made for it."""

    number: int
    card: int | None = None
    status: str = ""
    active: bool = False
    """The financial side of the card."""
    lost_until_ms: int = 0
    fees: int = 0
    """How many were noted."""
    owing: set[int] = field(default_factory=set)
    """Applications whose fee the purse has not paid yet."""
    application: int | None = None
    kind: ApplicationKind = ApplicationKind.FIRST
    stage: str = ""
    """applied, making, at the outlet, collected, refused; empty: none."""
    forgotten: list[tuple[int, ApplicationKind]] = field(default_factory=list)
    """Applications that were refused before another one was made."""
    temporary: int | None = None
    """The temporary card in the holder's hand."""
    last_day: date = date.max
    """Of the temporary card that is being made, lies there, or is in the holder's hand."""

    def may_have(self, kind: ApplicationKind) -> bool:
        return {
            ApplicationKind.FIRST: self.card is None,
            ApplicationKind.REISSUE: self.status == FORMAL,
            ApplicationKind.REPLACE: self.status in (NORMAL, FORMAL),
            ApplicationKind.TEMPORARY: self.temporary is None,
        }[kind]


class Lives(RuleBasedStateMachine):
    """What people, clerks and the maker do, in any order."""

    loop: asyncio.Runner
    registry: Registry
    numbers: Iterator[int]

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.loop.run(awaited())

    @initialize()
    def begin(self) -> None:
        self.people = [Model(next(self.numbers)) for _ in range(PEOPLE)]
        self.now = now_ms()
        self.behind = cycle((0, 1, 1500, 2))
        for person in self.people[1:]:  # the others begin with nothing
            person.card, person.status = self.run(self.registry.first_card(person.number)), NORMAL

    def clock(self) -> int:
        """Of whichever process is asked: they differ a little, and a verb that came first may be done later."""
        return self.now - next(self.behind)

    @rule(
        who=st.integers(0, PEOPLE - 1),
        kind=st.sampled_from(ApplicationKind),
        source=st.sampled_from([FeeSource.CASH, FeeSource.PURSE, None]),
    )
    def apply(self, who: int, kind: ApplicationKind, source: FeeSource | None) -> None:
        person = self.people[who]
        costs = kind in (ApplicationKind.REISSUE, ApplicationKind.REPLACE)
        accepted = person.may_have(kind) and person.stage in ("", "refused") and (source is not None or not costs)
        wanted = replace(WANTED, kind=kind, fee=source)
        (decided,) = self.run(self.registry.submit(submission(person.number, wanted=wanted)))
        assert (decided.refusal is None) is accepted, decided
        if accepted:
            person.fees += costs
            if costs and source is FeeSource.PURSE and decided.application:
                person.owing.add(decided.application)
        if accepted:
            if person.stage == "refused" and person.application:
                person.forgotten.append((person.application, person.kind))
            person.application, person.kind, person.stage = decided.application, kind, "applied"
        elif person.stage not in ("", "refused"):
            assert decided.application == person.application

    @rule(who=st.integers(0, PEOPLE - 1), step=st.sampled_from([Step.WITHDRAW, Step.REFUSE]))
    def give_up(self, who: int, step: Step) -> None:
        person = self.people[who]
        if person.application is None:
            return
        froms = {"applied", "refused"} if step is Step.WITHDRAW else {"applied"}
        done = self.run(self.registry.step(person.application, step)).refusal is None
        assert done is (person.stage in froms)
        if done:
            person.stage = "" if step is Step.WITHDRAW else "refused"

    @rule(who=st.integers(0, PEOPLE - 1), old=st.booleans())
    def hand_in_again(self, who: int, old: bool) -> None:
        person = self.people[who]
        if old and person.forgotten:
            application, kind = person.forgotten[-1]
        elif person.application:
            application, kind = person.application, person.kind
        else:
            return
        refused = application != person.application or person.stage == "refused"
        possible = refused and person.stage in ("", "refused") and person.may_have(kind)
        done = self.run(self.registry.step(application, Step.RESUBMIT)).refusal is None
        assert done is possible
        if done:
            if application != person.application:
                person.forgotten.pop()
                if person.application and person.stage == "refused":
                    person.forgotten.append((person.application, person.kind))
            person.application, person.kind, person.stage = application, kind, "applied"

    @rule(who=st.integers(0, PEOPLE - 1))
    def take_fee(self, who: int) -> None:
        """Payments has posted it."""
        person = self.people[who]
        if person.application in person.owing:
            assert self.run(self._move_fee(person.application))
            person.owing.remove(person.application)

    async def _move_fee(self, application: int) -> bool:
        async with driver_session(self.registry.engine) as driver:
            fee = await read_fee(driver, application)
            assert fee is not None
            return await move_fee(driver, fee, FeeState.TAKEN)

    @rule(who=st.integers(0, PEOPLE - 1))
    def begin_making(self, who: int) -> None:
        person = self.people[who]
        if person.application is None:
            return
        done = self.run(self.registry.begin(person.application)).refusal is None
        assert done is (person.stage == "applied" and person.application not in person.owing)
        if done:
            person.stage = "making"
        if done and person.kind is ApplicationKind.TEMPORARY:
            person.last_day = self.run(self._last_day(person.application))

    async def _last_day(self, application: int) -> date:
        async with driver_session(self.registry.engine) as driver:
            last = await driver.fetchval("select valid_until from card.card where application = $1 and social = 0", application)
        assert isinstance(last, date)
        return last

    @rule(who=st.integers(0, PEOPLE - 1), made=st.booleans())
    def end_making(self, who: int, made: bool) -> None:
        person = self.people[who]
        if person.application is None:
            return
        done = self.run(self.registry.end(person.application, made=made)).refusal is None
        assert done is (person.stage == "making")
        if done:
            person.stage = "at the outlet" if made else "applied"

    @rule(who=st.integers(0, PEOPLE - 1), then_made=st.booleans())
    def spoil(self, who: int, then_made: bool) -> None:
        """What is being made, or lies at its outlet, by whoever names it; whoever names another one ends none."""
        person = self.people[who]
        if person.application is None or person.stage not in ("making", "at the outlet", "collected"):
            return
        for made in (False, True):
            assert self.run(self.registry.end(person.application, made=made, card_identifier="F" * 32)).refusal is not None
        if then_made and person.stage == "making":
            assert self.run(self.registry.end(person.application)).refusal is None
            person.stage = "at the outlet"
        identifier = self.run(self._identifier(person.application))
        done = self.run(self.registry.end(person.application, made=False, card_identifier=identifier)).refusal is None
        assert done is (person.stage != "collected")
        if done:
            person.stage = "applied"

    async def _identifier(self, application: int) -> str:
        async with driver_session(self.registry.engine) as driver:
            asked = "select card_identifier from card.card where application = $1 and social = 0"
            identifier = await driver.fetchval(asked, application)
        assert isinstance(identifier, str)
        return identifier

    @rule(who=st.integers(0, PEOPLE - 1), verb=st.sampled_from([Verb.COLLECT, Verb.ENABLE]))
    def hand_over(self, who: int, verb: Verb) -> None:
        person = self.people[who]
        if person.application is None or person.stage not in ("making", "at the outlet", "collected"):
            return
        card = self.run(self.registry.card_of(person.application))
        needs = frozenset(Need) - ({Need.OLD_CARD_RETURNED} if person.status in ("", FORMAL, TEMPORARY) else set())
        done = self.run(self.registry.change(card, verb, IN_PERSON, needs, self.clock())).refusal is None
        assert done is ((verb, person.stage) in ((Verb.COLLECT, "at the outlet"), (Verb.ENABLE, "collected")))
        if done and verb is Verb.COLLECT:
            person.stage = "collected"
        elif done and person.kind is ApplicationKind.TEMPORARY:
            person.temporary, person.stage, person.application = card, "", None
        elif done:
            person.card, person.status, person.stage, person.application = card, NORMAL, "", None
            person.active = False

    @rule(who=st.integers(0, PEOPLE - 1))
    def give_up_what_lies_there(self, who: int) -> None:
        """A card that is made and not enabled yet; the one before it stays."""
        person = self.people[who]
        if person.application is None or person.stage not in ("making", "at the outlet", "collected"):
            return
        card = self.run(self.registry.card_of(person.application))
        done = self.run(self.registry.change(card, Verb.CANCEL, at_ms=self.clock())).refusal is None
        assert done is (person.stage != "making")
        if done:
            person.stage = ""

    @rule(who=st.integers(0, PEOPLE - 1))
    def give_the_temporary_card_back(self, who: int) -> None:
        """Whatever else is applied for goes on."""
        person = self.people[who]
        if person.temporary is not None:
            assert self.run(self.registry.change(person.temporary, Verb.CANCEL, at_ms=self.clock())).refusal is None
            person.temporary = None

    @rule(
        who=st.integers(0, PEOPLE - 1),
        changes=st.lists(st.sampled_from(LIKELY) | st.sampled_from(ALL), min_size=3, max_size=12),
    )
    def change(self, who: int, changes: list[tuple[Verb, Party]]) -> None:
        for verb, party in changes:
            if self.people[who].card is not None:
                self._change(self.people[who], verb, party)

    def _change(self, person: Model, verb: Verb, party: Party) -> None:
        assert person.card is not None
        froms, parties, to = CHANGES[verb]
        possible = person.status in froms and party in parties
        if verb is Verb.ACTIVATE and person.active:
            possible = False
        if verb is Verb.ACTIVATE:
            self.run(self._open_account(person.card))
        if verb is Verb.CANCEL and person.stage == "making":
            possible = False  # its maker has it
        at_ms = self.clock()
        done = self.run(self.registry.change(person.card, verb, party, frozenset(Need), at_ms)).refusal is None
        assert done is possible, (verb, party, person)
        if not done:
            return
        person.status = to
        person.active = person.active or verb is Verb.ACTIVATE
        if verb is Verb.REPORT_TEMPORARY_LOSS:
            person.lost_until_ms = at_ms + 7 * DAY_MS
        if verb is Verb.CANCEL:  # and with it whatever was applied for
            person.card, person.status, person.active = None, "", False
            person.stage, person.forgotten = "", []

    async def _open_account(self, card: int) -> None:
        """The bank has opened one for it."""
        async with driver_session(self.registry.engine) as driver:
            await driver.execute("update card.card set bank_account = 'sealed' where id = $1 and bank_account is null", card)

    @rule(days=st.sampled_from([1, 3, 7, 61]))
    def pass_time(self, days: int) -> None:
        self.now += days * DAY_MS

        async def keep() -> None:
            async with self.registry.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await KeepTime(self.registry.engine, self.registry.sealing, self.registry.settings, lambda: self.now)(
                    connection
                )

        self.run(keep())
        for person in self.people:
            if person.status == TEMPORARY and person.lost_until_ms <= self.now:
                person.status = NORMAL
            if instant(self.now).astimezone(SHANGHAI).date() > person.last_day:
                person.temporary = None
                if person.kind is ApplicationKind.TEMPORARY and person.stage in ("at the outlet", "collected"):
                    person.stage = ""
            if person.stage == "refused" and self.run(self._has_lapsed(person.application or 0)):
                person.stage = ""
            person.forgotten = [(a, kind) for a, kind in person.forgotten if not self.run(self._has_lapsed(a))]

    async def _has_lapsed(self, application: int) -> bool:
        """Refused applications lapse by the service's clock; here it is enough that they are the one or the other."""
        async with driver_session(self.registry.engine) as driver:
            state = await driver.fetchval("select state from card.application where id = $1", application)
        assert state in (9, 10)
        return bool(state == 10)

    @invariant()
    def each_card_stands_as_the_rules_say(self) -> None:
        if hasattr(self, "people"):
            for person in self.people:
                self.run(self._compare(person))

    async def _compare(self, person: Model) -> None:
        async with driver_session(self.registry.engine) as driver:
            rows = await driver.fetch(
                """select c.id, c.social, c.version, t.social, (select count(*) from card.transition x where x.card = c.id),
                       (select max(version) from card.event_outbox o where o.card = c.id), c.financial, c.kind
                   from card.lookup l join card.card c on c.holder = l.holder
                   join card.transition t on t.card = c.id and t.version = c.version
                   where l.digest = $1""",
                self.registry.sealing.digests(*self.registry.ssn_of(person.number))[0].digest,
            )
            states = await read_states(driver, self.registry.sealing, [row[0] for row in rows])
            fees = await driver.fetchval(
                """select count(*) from card.lookup l join card.application a on a.holder = l.holder
                   join card.fee f on f.application = a.id where l.digest = $1""",
                self.registry.sealing.digests(*self.registry.ssn_of(person.number))[0].digest,
            )
        assert fees == person.fees
        live = [row for row in rows if row[1] in (1, 2, 3, 4) and row[7] == CardKind.ORDINARY]
        temporary = [row[0] for row in rows if row[1] in (1, 2, 3, 4) and row[7] == CardKind.TEMPORARY]
        assert temporary == ([person.temporary] if person.temporary else [])
        assert [row[0] for row in live] == ([person.card] if person.card else [])
        assert [CODES[row[1]] for row in live] == ([person.status] if person.card else [])
        assert [row[6] == FinancialStatus.ACTIVE for row in live] == ([person.active] if person.card else [])
        sealed = sum(row[1] == 0 for row in rows)
        assert sealed == (person.stage in ("making", "at the outlet", "collected"))
        for number, social, version, written, transitions, announced, *_ in rows:
            assert (social, version, version) == (written, transitions, announced)
            assert states[number].status_periods[-1].status == social + 1
            assert states[number].version == version
            decode_card_event(event_of(states[number])[1])  # as payments reads it


@pytest.fixture(scope="module")
def lives(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Lives]]:
    """The machine on a database and an event loop of its own."""
    folder: Path = tmp_path_factory.mktemp("vault")
    with asyncio.Runner() as runner:
        database = runner.run(make_database(postgres_server))
        engine = make_engine(database.card_url, "tests", sessions=4)
        attributes: dict[str, Any] = {
            "loop": runner,
            "registry": Registry(engine, make_vault(folder)),
            "numbers": count(1),
        }
        yield type("BoundLives", (Lives,), attributes)
        runner.run(engine.dispose())
        runner.run(drop_database(database))


def test_lives_go_as_the_table_says_whatever_happens_in_which_order(lives: type[Lives]) -> None:
    run_state_machine_as_test(
        lives,
        settings=settings(
            max_examples=50, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
        ),
    )
