"""A person is exported, corrected and deleted; and stays deleted in a backup that is restored."""

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import privacy_pb2 as messages
from onecard.card.v1 import window_pb2 as window_messages
from onecard.card.v1.approvals_pb2 import DecideApprovalRequest
from onecard.card.v1.holder_deletions_pb2 import HolderDeletion
from onecard.money.v1.money_pb2 import Money as Amount
from onecard.payments.v1 import payments_pb2 as payments
from services.card.adapters.events import read_states
from services.card.adapters.payments_desk import Away, Money
from services.card.domain.application import Step
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Verb
from services.card.handlers.delete_holder import ListDeletions, reapply_deletions
from services.common.database import driver_session, make_engine
from tests.integration.card.test_consents import MINOR, child
from tests.integration.card.test_spending_limits import limits, set_limits
from tests.support.cardholders import Registry, citizen_number, submission
from tests.support.databases import copy_database, drop_database
from tests.support.hall import OTHER, SUPERVISOR, Hall, Owner, Window, open_hall, person, status_of
from tests.support.town import Database


class Payments:
    """Stands for payments: what a holder has there."""

    def __init__(self) -> None:
        self.away = False
        self.balance_fen = 0

    async def purse_of(self, holder: int) -> tuple[int, int]:
        if self.away:
            raise Away
        return self.balance_fen, 0

    async def money_of(self, card_identifier: str) -> Money:
        if self.away:
            raise Away
        balance = payments.GetBalanceResponse(balance=Amount(amount_fen=self.balance_fen))
        return Money(balance, payments.ListEntriesResponse())

    async def all_entries(self, card_identifier: str) -> list[payments.Entry]:
        return [payments.Entry(post_time_ms=1, code=payments.TRANSFER_CODE_TOP_UP, change=Amount(amount_fen=7))]


@pytest.fixture
def money() -> Payments:
    return Payments()


@pytest.fixture
async def hall(registry: Registry, owner: Owner, tmp_path: Path, money: Payments) -> AsyncIterator[Hall]:
    async with open_hall(registry, owner, tmp_path, money) as opened:  # type: ignore[arg-type]  # it stands for payments
        yield opened


async def chiefs(hall: Hall) -> tuple[Window, Window]:
    return (
        await hall.window(role=SUPERVISOR),
        await hall.window(subject=OTHER, token=await hall.sign_in(SUPERVISOR, OTHER)),
    )


async def agreed(one: Window, other: Window, method: str, asked: Any) -> Any:
    """Asked, approved by the other, and asked again."""
    first = await one.ask(method, asked)
    assert first.refusal.reason == "SECOND_PERSON_NEEDED", first
    await other.ask("DecideApproval", DecideApprovalRequest(approval_id=first.refusal.approval_id, approve=True))
    return await one.ask(method, asked)


async def holder_of(owner: Owner, card: int) -> int:
    number: int = await owner.fetchval("select holder from card.card where id = $1", card)
    return number


def delete(holder: int, request_id: str = "d1") -> messages.DeleteHolderRequest:
    return messages.DeleteHolderRequest(request_id=request_id, holder_id=holder)


async def test_who_has_a_card_an_application_or_money_is_not_deleted(
    hall: Hall, registry: Registry, owner: Owner, money: Payments
) -> None:
    chief, other = await chiefs(hall)
    card = await registry.first_card(1)
    holder = await holder_of(owner, card)
    assert (await chief.ask("DeleteHolder", delete(holder))).refusal.reason == "LIVE_CARD_FIRST"
    await registry.change(card, Verb.CANCEL)
    await owner.execute("update card.remainder set done = true")
    (again,) = await registry.submit(submission(1))
    assert (await chief.ask("DeleteHolder", delete(holder, "d2"))).refusal.reason == "APPLICATION_FIRST"
    assert again.application
    await registry.step(again.application, Step.WITHDRAW)
    money.balance_fen = 1
    assert (await chief.ask("DeleteHolder", delete(holder, "d3"))).refusal.reason == "BALANCE_NOT_SETTLED"
    money.away = True
    assert await status_of(chief.ask("DeleteHolder", delete(holder, "d4"))) == (grpc.StatusCode.UNAVAILABLE, "PAYMENTS_AWAY")
    money.away, money.balance_fen = False, 0
    done = await agreed(chief, other, "DeleteHolder", delete(holder, "d4"))
    assert not done.HasField("refusal")
    assert await chief.ask("DeleteHolder", delete(holder, "d4")) == done
    assert (await status_of(chief.ask("DeleteHolder", delete(holder, "d5"))))[1] == "UNKNOWN_HOLDER"
    clerk = await hall.window()
    assert await status_of(clerk.ask("DeleteHolder", delete(holder, "d6"))) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "NOT_YOUR_RIGHT",
    )


async def test_a_deleted_person_is_a_number_without_a_person(hall: Hall, registry: Registry, owner: Owner) -> None:
    chief, other = await chiefs(hall)
    card = await registry.first_card(1)
    holder = await holder_of(owner, card)
    await registry.change(card, Verb.CANCEL)
    await owner.execute("update card.remainder set done = true")
    assert not (await agreed(chief, other, "DeleteHolder", delete(holder))).HasField("refusal")
    for table in ("lookup", "namesake", "photo"):
        assert await owner.fetchval(f"select count(*) from card.{table} where holder = $1", holder) == 0
    row = await owner.fetchrow(
        "select data_key, name, birth_date, phone, social_security_number from card.holder where id = $1", holder
    )
    assert set(row or ()) == {None}
    async with driver_session(registry.engine) as driver:
        state = (await read_states(driver, registry.sealing, [card]))[card]
        unsent = await driver.fetchval(
            "select count(*) from card.event_outbox where card = $1 and version = $2", card, state.version
        )
    assert (state.birth_date, state.account_id, unsent) == ("", holder, 1)  # forgotten outside, too
    assert await owner.fetchval("select count(*) from card.transition where card = $1", card) > 4  # history stays
    asked = window_messages.GetHolderViewRequest(
        document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(1))
    )
    assert (await status_of(chief.ask("GetHolderView", asked)))[1] == "UNKNOWN_HOLDER"
    (newcomer,) = await registry.submit(submission(1))
    assert newcomer.holder not in (holder, None)


class Broker:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes | None, bytes]] = []

    async def send(self, topic: str, records: Iterable[tuple[bytes | None, bytes]]) -> None:
        assert topic == "card.deletions"
        self.sent += records


async def test_a_restored_backup_is_told_whom_to_forget_again(
    hall: Hall, registry: Registry, owner: Owner, database: Database
) -> None:
    chief, other = await chiefs(hall)
    card = await registry.first_card(1)
    await registry.submit(submission(2))
    holder = await holder_of(owner, card)
    await owner.close()
    await registry.engine.dispose()
    backup = await copy_database(database)  # byte by byte, as it is now
    await registry.change(card, Verb.CANCEL)
    async with driver_session(registry.engine) as driver:
        await driver.execute("update card.remainder set done = true")
    await agreed(chief, other, "DeleteHolder", delete(holder))
    broker = Broker()
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        duty = ListDeletions(broker)  # type: ignore[arg-type]  # a broker in memory
        assert await duty(connection)
        assert await duty(connection)
    listed = [value for _, value in broker.sent]
    assert [HolderDeletion.FromString(value).holder_id for value in listed] == [holder]
    restored = make_engine(backup.card_url, "restored", sessions=2)
    async with driver_session(restored) as driver:
        assert await driver.fetchval("select data_key from card.holder where id = $1", holder)  # it is back
        assert await reapply_deletions(restored, registry.sealing, listed) == 1
        assert await reapply_deletions(restored, registry.sealing, listed) == 0
        assert await driver.fetchval("select array_agg(id) from card.holder where data_key is null") == [holder]
        for table in ("lookup", "photo"):
            assert await driver.fetchval(f"select count(*) from card.{table} where holder = $1", holder) == 0
        assert await driver.fetchval("select social from card.card where id = $1", card) == SocialStatus.CANCELLED
        assert await driver.fetchval("select actor from card.audit where act = 'holder.delete'") == "service:card"
    await restored.dispose()
    await drop_database(backup)


async def test_a_holders_copy_holds_everything_and_is_written_down(
    hall: Hall, registry: Registry, owner: Owner, money: Payments
) -> None:
    chief, _ = await chiefs(hall)
    card = await registry.first_card(1)
    holder = await holder_of(owner, card)
    asked = messages.ExportHolderRequest(holder_id=holder, purpose="本人申请")
    found = json.loads((await chief.ask("ExportHolder", asked)).document)
    assert (found["name"], found["social_security_number"]) == (submission(1).person.name, citizen_number(1))
    assert [one["number"] for one in found["documents"]] == [citizen_number(1)]
    assert len(found["photos"]) == 1
    assert found["cards"][0]["card_number"]
    assert [step["what"] for step in found["cards"][0]["history"]] == ["MADE", "PRODUCE", "COLLECT", "ENABLE"]
    assert [step["step"] for step in found["applications"][0]["timeline"]][-1] == "ENABLE"
    assert [entry["what"] for entry in found["money"]["entries"]] == ["TOP_UP"]
    assert "holder.export" in [one["act"] for one in found["seen_and_done"]]
    row = await owner.fetchrow("select holder, purpose from card.audit where act = 'holder.export'")
    assert tuple(row or ()) == (holder, "本人申请")
    money.away = True
    assert (await status_of(chief.ask("ExportHolder", asked)))[1] == "PAYMENTS_AWAY"
    asked.purpose = ""
    assert (await status_of(chief.ask("ExportHolder", asked)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    asked.purpose = "核对"
    assert (await status_of((await hall.window()).ask("ExportHolder", asked)))[1] == "NOT_YOUR_RIGHT"


async def test_a_childs_copy_holds_what_its_guardian_said(hall: Hall) -> None:
    chief, _ = await chiefs(hall)
    holder = (await chief.ask("Submit", child(consents=[MINOR]))).application.holder_id
    assert await set_limits(chief, limits(holder)) == ""
    asked = messages.ExportHolderRequest(holder_id=holder, purpose="监护人申请")
    (found,) = json.loads((await chief.ask("ExportHolder", asked)).document)["spending_limits"]
    assert (found["day_fen"], found["bus_day_fen"], found["papers"]["name"]) == (2_000, None, "李大人")


def correction(holder: int, request_id: str = "c1", **other: Any) -> messages.CorrectIdentityRequest:
    return messages.CorrectIdentityRequest(request_id=request_id, holder_id=holder, **other)


def id_card(number: int) -> applications.Document:
    return applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(number))


async def test_a_corrected_person_is_found_by_what_is_right_alone(hall: Hall, registry: Registry, owner: Owner) -> None:
    clerk, (chief, _) = await hall.window(), await chiefs(hall)
    card = await registry.first_card(1)
    holder = await holder_of(owner, card)
    await owner.execute("update card.transition set electronic_use = 3 where card = $1", card)  # it pays electronically
    asked = correction(holder, name="李正", document=id_card(1001))  # born a day later
    done = await agreed(clerk, chief, "CorrectIdentity", asked)
    assert not done.HasField("refusal")
    seen = await clerk.ask(
        "GetHolderView", window_messages.GetHolderViewRequest(document=id_card(1001), unmasked=True, purpose="核对")
    )
    assert (seen.holder.holder_id, seen.holder.name, seen.holder.birth_date) == (holder, "李正", "1990-01-02")
    assert (seen.holder.social_security_number, len(seen.holder.documents)) == (citizen_number(1001), 1)
    old = window_messages.GetHolderViewRequest(document=id_card(1))
    assert (await status_of(clerk.ask("GetHolderView", old)))[1] == "UNKNOWN_HOLDER"
    assert [h.holder_id for h in (await clerk.ask("SearchHolders", messages.SearchHoldersRequest(name="李正", birth_date="1990-01-02"))).holders] == [holder]  # fmt: skip
    async with driver_session(registry.engine) as driver:
        assert (await read_states(driver, registry.sealing, [card]))[card].birth_date == "1990-01-02"
        uses = await driver.fetch("select electronic_use from card.transition where card = $1 order by version desc", card)
        assert [row[0] for row in uses[:2]] == [3, 3]
    former = json.loads(
        (await chief.ask("ExportHolder", messages.ExportHolderRequest(holder_id=holder, purpose="核对"))).document
    )
    assert former["former_identities"][0]["name"] == submission(1).person.name
    detail = await owner.fetchval("select detail::text from card.audit where act = 'holder.correct'")
    assert json.loads(detail) == {"parts": "name document"}
    versions = await owner.fetchval(
        "select count(distinct index_version) from card.lookup where holder = $1 and field = 2", holder
    )
    assert versions == len(registry.sealing.index_versions())


async def test_a_correction_never_makes_one_of_two_people_nor_contradicts_a_document(hall: Hall, registry: Registry) -> None:
    clerk = await hall.window()
    for number in (1, 2):
        await registry.submit(submission(number))
    view = await clerk.ask("GetHolderView", window_messages.GetHolderViewRequest(document=id_card(1)))
    holder = view.holder.holder_id
    for wrong, reason in (
        (correction(holder, "c1", document=id_card(2)), "NUMBER_TAKEN"),
        (correction(holder, "c2", birth_date="1991-01-01"), "PERSON_DIFFERS"),
        (correction(holder, "c3", name=person(1).name), "NOTHING_TO_CORRECT"),
        (correction(holder, "c4", name="?"), "NAME_NOT_ACCEPTED"),
    ):
        assert (await clerk.ask("CorrectIdentity", wrong)).refusal.reason == reason
