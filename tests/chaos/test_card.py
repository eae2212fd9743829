"""Two card-service processes on one port, killed between any two steps while people come and go.

After each nothing is doubled or lost: every fee has a card, an open application or a refund, and registry, ledger, topic and
projection say the same.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from typing import Any

import asyncpg
import pytest

from cli.servers.broker import Kind, make_broker
from cli.servers.postgres import Postgres
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1.hotlist_pb2 import HotlistUpdate
from sdk.merchant.hotlist import Hotlist
from sdk.merchant.hotlist_update import Step, Version
from services.card.adapters.people import find_holders
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.domain.remainder import PayTo
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.rotate import retire_index
from services.common.database import driver_session, driver_transaction, make_engine
from services.common.keyvault.software import open_token
from services.common.keyvault.vault import Purpose
from services.common.topic_reader import read_topic
from services.common.topics import CARD_HOTLIST
from services.payments.adapters.topics import create_topics
from tests.support.card_api import CardFront, open_card_front
from tests.support.cardholders import CLERK
from tests.support.databases import drop_database, make_database
from tests.support.hall import ISSUANCE, person, request
from tests.support.road import PARTITIONS
from tests.support.town import now_ms
from tests.support.waiting import until
from tests.support.worker import Stop

pytestmark = pytest.mark.timeout(600)

IN_PERSON = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON, identity_verified=True, old_card_returned=True)
CASH, PURSE = applications.FEE_SOURCE_CASH, applications.FEE_SOURCE_PURSE

METHODS = ("REPORT_FORMAL_LOSS", "Submit", "Withdraw", "BeginProduction", "EndProduction", "COLLECT", "ENABLE")
AT_THE_WINDOW = [Stop(f"{method} committed") for method in METHODS]
NOT_COMMITTED = [Stop(f"{method} written") for method in ("Submit", "BeginProduction", "ENABLE")]
BEHIND_IT = [
    Stop(point)
    for point in (
        *("relay read", "relay sent", "relay marked"),
        *(f"{move} {how}" for move in ("TAKE", "RETURN", "EARN") for how in ("posted", "noted")),
    )
]


@pytest.fixture(scope="module")
async def neighbours(
    postgres_server: Postgres, broker_kind: Kind, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CardFront]:
    """A broker, a payments API and a worker that follows the cards: for all tests of this module."""
    folder = tmp_path_factory.mktemp("card")
    broker = make_broker(broker_kind, folder)
    broker.start()
    create_topics(broker.bootstrap, broker_kind, PARTITIONS)
    database = await make_database(postgres_server)
    async with open_card_front(database, broker, folder) as opened:
        yield opened
    await drop_database(database)
    broker.stop()


@pytest.fixture
def front(neighbours: CardFront) -> Iterator[CardFront]:
    yield neighbours
    neighbours.end_processes()
    neighbours.processes.clear()


_numbers = count(1)
"""Of people: each test takes some that no other takes."""


@dataclass
class Client:
    """Somebody who loses a card again and again; `asked` remembers every answer that was heard."""

    front: CardFront
    number: int
    card: int
    holder: int
    asked: dict[str, tuple[str, Any, Any]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    async def ask(self, method: str, asked: Any, subject: str = "") -> Any:
        answer = await (self.front.ask(method, asked, subject) if subject else self.front.ask(method, asked))
        self.asked[asked.request_id] = (method, asked, answer)
        if not answer.HasField("refusal"):
            self.done[method] += 1
        return answer

    async def change(self, verb: str, card: int) -> None:
        kind = getattr(cards, f"{verb}Request")
        answer = await self.ask(verb, kind(request_id=f"{verb}-{card}", card_id=card, presented=IN_PERSON))
        assert not answer.HasField("refusal"), answer

    async def lose_and_replace(self, turn: int) -> None:
        """Once round: lost, paid for, withdrawn and applied for again, failed and made again, handed over."""
        if turn == 0 or self.done["Enable"]:
            await self.change("ReportFormalLoss", self.card)
        source = PURSE if turn % 2 else CASH
        for fate in ("withdraw", "keep"):
            submit = request(
                self.number,
                f"{fate}-{self.number}-{turn}",
                kind=applications.APPLICATION_KIND_REISSUE,
                fee_source=source,
                photo=b"",
            )
            answer = await self.ask("Submit", submit)
            assert not answer.HasField("refusal"), answer
            application = answer.application.application_id
            if fate == "withdraw":
                take_back = applications.WithdrawRequest(request_id=f"w{application}", application_id=application)
                assert not (await self.ask("Withdraw", take_back)).HasField("refusal")
        for made in (False, True):
            await self.begin(application, made)
            end = cards.EndProductionRequest(request_id=f"e{application}-{made}", application_id=application, made=made)
            answer = await self.ask("EndProduction", end, ISSUANCE)
            assert not answer.HasField("refusal"), answer
        self.card = answer.application.card_id
        await self.change("Collect", self.card)
        await self.change("Enable", self.card)

    async def begin(self, application: int, made: bool) -> None:
        """As soon as it is paid for."""
        end = time.monotonic() + 120
        for attempt in count():
            begin = cards.BeginProductionRequest(request_id=f"b{application}-{made}-{attempt}", application_id=application)
            answer = await self.ask("BeginProduction", begin, ISSUANCE)
            if not answer.HasField("refusal"):
                return
            assert (answer.refusal.reason, time.monotonic() < end) == ("FEE_NOT_SETTLED", True), answer
            await asyncio.sleep(0.1)

    async def hears_the_same_again(self) -> None:
        """Whatever was asked is answered as it was the first time."""
        for method, asked, answer in list(self.asked.values())[::5]:
            again = await self.front.ask(method, asked, ISSUANCE if method.endswith("Production") else Client.window)
            assert again.refusal == answer.refusal

    window = "onecard://merchant/CITY-HALL/terminal/WINDOW-1"


async def clients(front: CardFront, number: int) -> list[Client]:
    """People with a normal card, and with money for many fees."""
    made = []
    for _ in range(number):
        one = next(_numbers)
        card = await front.registry.first_card(one)
        holder = await front.owner.fetchval("select holder from card.card where id = $1", card)
        await front.give(holder, 1_000_000)
        made.append(Client(front, one, card, holder))
    return made


async def test_killed_between_any_two_steps_of_the_saga_every_fee_has_a_card_an_open_application_or_a_refund(
    front: CardFront,
) -> None:
    people = await clients(front, 6)
    front.start(*BEHIND_IT[::2], *AT_THE_WINDOW[::2])
    front.start(*BEHIND_IT[1::2], *AT_THE_WINDOW[1::2], *NOT_COMMITTED)
    over = False

    async def come_and_go(client: Client) -> None:
        for turn in count():
            await client.lose_and_replace(turn)
            if over:
                return

    spent, *going = [asyncio.create_task(work) for work in (front.spent(), *map(come_and_go, people))]
    await asyncio.wait([spent, *going], return_when=asyncio.FIRST_COMPLETED)
    over = True
    await asyncio.gather(spent, *going)
    await front.at_rest()
    for client in people:
        await client.hears_the_same_again()
        rows = await front.owner.fetchrow(
            """select (select count(*) from card.application where holder = $1 and kind = 2),
                      (select count(*) from card.card where holder = $1),
                      (select count(*) from card.transition t join card.card c on c.id = t.card
                       where c.holder = $1 and t.verb = $2),
                      (select count(*) from card.transition t join card.card c on c.id = t.card
                       where c.holder = $1 and t.verb = 2)""",
            client.holder,
            Verb.REPORT_FORMAL_LOSS,
        )
        done = client.done
        assert tuple(rows or ()) == (
            done["Submit"],
            done["BeginProduction"] + 1,
            done["ReportFormalLoss"],
            done["Enable"] + 1,
        )
    await front.exactly()


async def test_a_batch_that_is_killed_anywhere_goes_on_under_its_id_and_doubles_nobody(front: CardFront) -> None:
    rows = 1010  # three transactions
    points = ("batch begun", "batch rows written", "batch rows committed", "batch ended")
    front.start(*(Stop(point) for point in points), Stop("batch rows committed", arrival=2))
    first = 10_000
    sent = [
        applications.SubmitBatchRequest(header=applications.BatchHeader(batch_id="staff", rows=rows)),
        *(
            applications.SubmitBatchRequest(
                rows=[applications.BatchRow(row=n, person=person(first + n)) for n in range(low, min(low + 100, rows + 1))]
            )
            for low in range(1, rows + 1, 100)
        ),
    ]
    answer = await front.ask("SubmitBatch", sent)
    await front.spent(within=5)
    assert (answer.accepted, [verdict.row for verdict in answer.verdicts]) == (rows, list(range(1, rows + 1)))
    batch = await front.owner.fetchrow(
        """select count(*), count(distinct holder), count(distinct batch_row) from card.application where batch = $1""",
        answer.batch_number,
    )
    assert tuple(batch or ()) == (rows, rows, rows)
    assert await front.ask("SubmitBatch", sent) == answer


async def test_a_lower_number_that_is_committed_later_leaves_though_the_relay_was_killed_before(front: CardFront) -> None:
    slow, quick = [client.card for client in await clients(front, 2)]
    relay = front.start(Stop("relay sent", arrival=2))
    await front.at_rest()
    late = await asyncpg.connect(front.database.owner_url.replace("+asyncpg", ""))
    async with late.transaction():
        lost = Change(slow, Verb.REPORT_TEMPORARY_LOSS, Party.HOLDER_IN_PERSON, frozenset(Need))
        await change_card(late, front.registry.sealing, front.registry.settings, lost, CLERK, now_ms())
        await front.registry.change(quick, Verb.REPORT_TEMPORARY_LOSS)  # a higher number, committed first
        await until("the relay was killed", lambda: relay.spent)
        await front.at_rest()
        assert (await front.versions(quick))[-1] == 5
        assert (await front.versions(slow))[-1] == 4
    await late.close()
    await front.at_rest()
    assert (await front.versions(slow))[-1] == 5
    await front.exactly()


async def test_a_relay_that_is_killed_before_it_notes_what_it_sent_publishes_each_version_of_the_hotlist_in_order(
    front: CardFront, tmp_path: Path
) -> None:
    card = (await clients(front, 1))[0].card
    before = await front.owner.fetchval("select version from card.hotlist_relay")
    relay = front.start(Stop("hotlist sent"), Stop("hotlist sent", arrival=3))
    for number, verb in enumerate((Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE) * 2, 1):
        await front.registry.change(card, verb)
        await until(f"another {number} versions were noted", partial(noted, front, before + number))
    assert relay.spent
    records = await asyncio.to_thread(lambda: list(read_topic(front.broker.bootstrap, CARD_HOTLIST)))
    updates = [HotlistUpdate.FromString(record) for record in records]
    with Hotlist(tmp_path / "hotlist") as hotlist:
        assert Step.HOLE not in [hotlist.take(update) for update in updates]
        assert hotlist.version == Version(1, before + 4)
        newest = await front.owner.fetchval("select entries from card.hotlist order by version desc limit 1")
        assert hotlist.entries == newest
    sent = Counter(
        (update.from_version, update.version) for update in updates if before < update.version != update.from_version
    )
    assert len([step for step, times in sent.items() if times > 1]) == 2  # what was sent and not noted


async def noted(front: CardFront, version: int) -> bool:
    return bool(await front.owner.fetchval("select version from card.hotlist_relay") == version)


async def test_a_relay_that_froze_while_another_was_elected_leaves_no_older_state_behind_a_newer_one(front: CardFront) -> None:
    card = (await clients(front, 1))[0].card
    frozen = front.start(Stop("relay read", signal=SIGSTOP))
    await frozen.froze()
    await front.depose()
    front.start()
    await front.registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    await front.at_rest()
    assert await front.versions(card) == [5]
    frozen.thaw()

    async def mended() -> bool:
        return await front.versions(card) == [5, 4, 5]

    await until("the newer state was sent again", mended)
    await front.exactly()


async def test_what_is_left_is_paid_out_once_though_its_payer_is_killed_before_and_behind_the_posting(front: CardFront) -> None:
    people = await clients(front, 2)
    front.start(Stop("remainder decided"), Stop("remainder posted"))
    for client in people:
        change = Change(client.card, Verb.CANCEL, Party.HOLDER_IN_PERSON, frozenset(Need), 1, PayTo.CASH)
        async with driver_transaction(front.engine) as driver:
            await change_card(driver, front.registry.sealing, front.registry.settings, change, CLERK, now_ms())
    await front.spent()
    await front.at_rest()
    paid = await front.owner.fetch("select paid_fen from card.remainder where card = any($1)", [one.card for one in people])
    assert [row[0] for row in paid] == [1_000_000] * 2
    await front.exactly()


async def test_while_no_relay_lives_payments_knows_how_old_its_cards_are_and_the_next_one_makes_good(front: CardFront) -> None:
    def age() -> float:
        return front.follower.metric("onecard_card_projection_age_seconds")

    card = (await clients(front, 1))[0].card
    relay = front.start()
    await until("cards are fresh", lambda: 0 < age() < 2)
    await front.at_rest()
    relay.end()
    front.processes.clear()
    for verb in (Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE, Verb.REPORT_FORMAL_LOSS):
        await front.registry.change(card, verb)
    await until("cards grow old", lambda: age() > 2)
    assert (await front.versions(card))[-1] == 4
    front.start()
    await front.at_rest()
    await until("cards are fresh again", lambda: 0 < age() < 2)
    assert (await front.versions(card))[-1] == 7
    await front.exactly()


async def test_64_copies_at_once_over_both_processes_make_one_application_and_all_hear_of_it(front: CardFront) -> None:
    processes = [front.start(), front.start()]
    for process in processes:
        await process.serves()
    number = next(_numbers)
    asked = [request(number, f"copy-{number}-{n}", photo=b"") for n in range(64)]
    answers = await asyncio.gather(*(front.ask("Submit", one) for one in asked))
    reasons = Counter(answer.refusal.reason for answer in answers)
    assert reasons == {"": 1, "APPLICATION_OPEN": 63}
    (application,) = {answer.application.application_id for answer in answers}
    holder = await front.owner.fetchval("select holder from card.application where id = $1", application)
    assert await front.owner.fetchval("select count(*) from card.application where holder = $1", holder) == 1
    assert all(process.answered("Submit") for process in processes)


async def test_the_index_key_changes_under_200_applications_a_second_and_kills_and_nobody_is_doubled_or_missed(
    front: CardFront,
) -> None:
    owner_engine = make_engine(front.database.owner_url, "owner", sessions=2)
    first, a_batch, batches = 12_000, 20, 60  # ten batches a second, for six seconds
    before = await front.owner.fetchval("select count(*) from card.holder")
    victim, older = front.start(Stop("batch rows committed", arrival=12)), front.start()
    for process in (victim, older):
        await process.serves()
    verdicts: list[tuple[int, str, int]] = []

    async def hand_in(batch: int) -> None:
        """Each person is in two batches that are handed in one behind the other."""
        people = range(first + batch // 2 * a_batch, first + (batch // 2 + 1) * a_batch)
        rows = [applications.BatchRow(row=n, person=person(who)) for n, who in enumerate(people, 1)]
        header = applications.BatchHeader(batch_id=f"rotation-{batch}", rows=a_batch)
        sent = [applications.SubmitBatchRequest(header=header), applications.SubmitBatchRequest(rows=rows)]
        answer = await front.ask("SubmitBatch", sent)
        verdicts.extend((people[v.row - 1], v.refusal.reason, v.application_id) for v in answer.verdicts)

    async def load() -> None:
        async with asyncio.TaskGroup() as tasks:
            for batch in range(batches):
                tasks.create_task(hand_in(batch))
                await asyncio.sleep(0.1)

    loading = asyncio.create_task(load())
    newer = open_token(front.registry.vault.file, "pin of a test")
    newer.add_version("index", Purpose.MAC)
    await until("one was killed, and lives on with the new key", lambda: victim.spent)
    killed = front.fill_index(killed=True)
    assert await asyncio.to_thread(killed.wait) == -SIGKILL
    older.end()
    front.start()
    await asyncio.to_thread(front.fill_index(killed=False).wait_done, 60)
    await loading
    front.renew()
    await asyncio.to_thread(front.fill_index(killed=False).wait_done, 60)
    await retire_index(owner_engine, front.registry.sealing, 1, lambda *_: None)
    await owner_engine.dispose()
    people = range(first, first + batches // 2 * a_batch)
    assert sorted(who for who, reason, _ in verdicts if not reason) == list(people)
    assert {reason for _, reason, _ in verdicts} == {"", "APPLICATION_OPEN"}
    assert len({(who, application) for who, _, application in verdicts}) == len(people)
    assert await front.owner.fetchval("select count(*) from card.holder") == before + len(people)
    newest = {who: front.registry.sealing.digests(*front.registry.ssn_of(who))[-1] for who in people}
    async with driver_session(front.engine) as driver:
        found = await find_holders(driver, list(newest.values()))
    assert len({found[digest.field, digest.digest] for digest in newest.values()}) == len(people)
