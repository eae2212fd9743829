"""Files to the bank and back, on a real database and with a bank that answers late, twice, in part and wrongly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from onecard.bank.v1 import accounts_pb2 as messages_of_bank
from onecard.bank.v1.accounts_pb2_grpc import AccountServiceServicer, add_AccountServiceServicer_to_server
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import bank_pb2 as messages
from onecard.card.v1 import cards_pb2 as cards
from services.card.adapters import bank_batches
from services.card.adapters.deletions import forget_holder
from services.card.adapters.online_bank import OnlineBank
from services.card.domain.application import ApplicationKind, Mode, Step
from services.card.domain.bank_cause import BankCause, ReturnFault, RowFault
from services.card.domain.card import SocialStatus
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.refusal import Refusal
from services.card.handlers.bank import Bank, Taken
from services.card.handlers.correct_identity import Corrected, Correction, correct_identity
from services.card.handlers.exchange_bank_files import BANK, ExchangeBankFiles
from services.card.handlers.once import transact
from services.common.database import driver_session
from simulation.bank import Habits, SimulatedBank, account_number
from simulation.bank_files import Answered, read_applications, write_return
from tests.integration.card.test_cards import social
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import CLERK, WANTED, Registry, submission
from tests.support.hall import ISSUANCE, Hall, open_hall, person, request
from tests.support.photos import good_photo
from tests.support.town import now_ms

APPLIED, AT_BANK, IN_PRODUCTION, WITHDRAWN, REFUSED = 2, 3, 4, 8, 9
INSTANT = replace(WANTED, mode=Mode.INSTANT)
NAME_BEYOND_GBK = "李\N{CJK UNIFIED IDEOGRAPH-4DAE}"


@pytest.fixture
def bank(registry: Registry) -> Bank:
    return Bank(registry.engine, registry.sealing, registry.settings)


class Folder:
    """Where files of one test lie, and a bank that reads them."""

    def __init__(self, bank: Bank, folder: Path) -> None:
        self.bank = bank
        self.folder = folder

    async def send(self) -> list[bytes]:
        sent = await self.bank.send(self.folder, BANK, now_ms())
        return [path.read_bytes() for path in sent.files]

    async def take(self, data: bytes) -> Taken | ReturnFault:
        return await self.bank.take(data, BANK, now_ms())

    async def answer(self, file: bytes, verdict: Callable[[int], str], **other: Any) -> Taken | ReturnFault:
        """Every row with a verdict: an account's number, or a cause."""
        asked = read_applications(file)
        said = [(row, verdict(row.application)) for row in asked.rows]
        rows = [Answered(row, "1", text, "000") if len(text) > 3 else Answered(row, "2", "", text) for row, text in said]
        return await self.take(write_return(asked, 1, rows, **other))


@pytest.fixture
def files(bank: Bank, tmp_path: Path) -> Folder:
    return Folder(bank, tmp_path / "out")


async def state_of(owner: Owner, application: int | None) -> tuple[int, int]:
    row = await owner.fetchrow("select state, cause from card.application where id = $1", application)
    assert row is not None
    return row[0], row[1]


async def apply(registry: Registry, *numbers: int, **wanted: Any) -> list[int]:
    made = await registry.submit(*(submission(n, wanted=replace(WANTED, **wanted)) for n in numbers))
    return [one.application for one in made if one.application is not None]


async def work(registry: Registry, late_before_ms: int = 0) -> list[bank_batches.Work]:
    async with driver_session(registry.engine) as driver:
        return await bank_batches.list_work(driver, WANTED.outlet, late_before_ms, after=(0, 0), limit=50)


async def test_who_is_accepted_gets_a_card_with_an_account_and_who_is_not_hears_why(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    accepted, refused = await apply(registry, 1, 2)
    (file,) = await files.send()
    assert await files.send() == [], "nobody is sent twice while the bank has not answered"
    assert [await state_of(owner, a) for a in (accepted, refused)] == [(AT_BANK, 0)] * 2
    verdicts = {accepted: account_number(accepted), refused: "101"}
    taken = await files.answer(file, verdicts.__getitem__)
    assert isinstance(taken, Taken)
    assert (taken.opened, taken.refused, taken.waiting) == (1, 1, 0)
    assert await state_of(owner, accepted) == (IN_PRODUCTION, 0)
    assert await state_of(owner, refused) == (REFUSED, BankCause.IDENTITY_NOT_CONFIRMED)
    card = await registry.card_of(accepted)
    assert await owner.fetchval("select bank_account is not null from card.card where id = $1", card)
    (listed,) = await work(registry)
    assert (listed.application, listed.cause) == (refused, BankCause.IDENTITY_NOT_CONFIRMED)
    again = await files.answer(file, verdicts.__getitem__)
    assert isinstance(again, Taken)
    assert (again.opened, again.refused, again.repeats) == (0, 0, 2)
    assert await owner.fetchval("select count(*) from card.card") == 1


async def test_a_card_that_ended_while_the_bank_was_asked_is_replaced_by_none(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    life = replace(registry.settings.life, temporary_loss_cancels=True)
    registry.settings = replace(registry.settings, life=life)
    old = await registry.first_card(1)
    replacing = (await registry.apply_again(1, ApplicationKind.REPLACE)).application
    (other,) = await apply(registry, 2)
    (file,) = await files.send()
    await registry.change(old, Verb.REPORT_TEMPORARY_LOSS, at_ms=now_ms() - 8 * 24 * 3600 * 1000)
    await registry.change(old, Verb.EXPIRE_TEMPORARY_LOSS, Party.TIMER)
    taken = await files.answer(file, account_number)
    assert isinstance(taken, Taken)
    assert (taken.opened, taken.waiting) == (2, 0)
    assert await state_of(owner, replacing) == (WITHDRAWN, Refusal.NO_CARD_TO_REISSUE)
    assert await state_of(owner, other) == (IN_PRODUCTION, 0)
    assert await owner.fetchval("select count(*) from card.card where social <> 9") == 1
    assert await files.send() == []
    again = await files.answer(file, account_number)
    assert isinstance(again, Taken)
    assert (again.opened, again.repeats) == (0, 2)


async def test_a_card_that_is_made_anew_goes_to_the_bank_with_the_account_that_it_opened(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    (application,) = await apply(registry, 1)
    (first,) = await files.send()
    assert read_applications(first).rows[0].account == ""
    await files.answer(first, account_number)
    await registry.end(application, made=False)
    (second,) = await files.send()
    assert read_applications(second).rows[0].account == account_number(application)
    other = await files.answer(second, lambda _: account_number(999))
    assert isinstance(other, Taken)
    assert list(other.faults.values()) == [RowFault.ACCOUNT_DIFFERS]
    await files.answer(second, account_number)
    assert await state_of(owner, application) == (IN_PRODUCTION, 0)


async def test_who_hands_in_again_travels_in_another_batch(registry: Registry, owner: Owner, files: Folder) -> None:
    (application,) = await apply(registry, 1)
    (first,) = await files.send()
    await files.answer(first, lambda _: "103")
    await registry.step(application, Step.RESUBMIT)
    (second,) = await files.send()
    assert read_applications(second).batch > read_applications(first).batch
    assert await work(registry) == [], "it is on its way again"
    await files.answer(first, account_number)
    assert await state_of(owner, application) == (AT_BANK, 0), "a late word on the first batch does not change its answer"
    await files.answer(second, account_number)
    assert await state_of(owner, application) == (IN_PRODUCTION, 0)


async def test_a_file_that_was_cut_off_is_written_from_its_batch(
    registry: Registry, files: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(registry, 1, 2, 3)

    def no_room(*_: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("services.card.handlers.bank._put", no_room)
        with pytest.raises(OSError, match="no space"):
            await files.send()
    (file,) = await files.send()
    assert len(read_applications(file).rows) == 3
    assert await files.send() == []


async def test_a_return_that_was_cut_off_half_way_is_taken_to_its_end(
    registry: Registry, owner: Owner, files: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.card.handlers.bank._AT_ONCE", 2)
    await apply(registry, *range(1, 6))
    (file,) = await files.send()

    parts = 0

    async def killed(_: str) -> None:
        nonlocal parts
        parts += 1
        if parts == 2:
            raise KeyboardInterrupt

    cut_off = Bank(registry.engine, registry.sealing, registry.settings, at=killed)
    asked = read_applications(file)
    data = write_return(asked, 1, [Answered(row, "1", account_number(row.application), "000") for row in asked.rows])
    with pytest.raises(KeyboardInterrupt):
        await cut_off.take(data, BANK, now_ms())
    assert await owner.fetchval("select count(*) from card.card") == 4
    taken = await files.take(data)
    assert isinstance(taken, Taken)
    assert (taken.opened, taken.repeats, taken.waiting) == (1, 4, 0)
    assert await owner.fetchval("select count(*) from card.card") == 5


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_bank_does_each_application_comes_to_one_end(
    registry: Registry, owner: Owner, files: Folder, seed: int
) -> None:
    await apply(registry, *range(1, 31))
    simulated = SimulatedBank(seed, Habits(refuses=0.2, late=0.3, twice=0.5, partial=1.0, wrong=0.8))
    (file,) = await files.send()
    for delivery in simulated.answer(file):
        await files.take(delivery.data)
    states = await owner.fetch("select state, count(*) from card.application group by state")
    assert sum(count for _, count in states) == 30
    assert {state for state, _ in states} <= {IN_PRODUCTION, REFUSED}, "whoever was answered once is answered"
    made = await owner.fetchval("select count(*) from card.card where bank_account is not null")
    assert made == dict(states)[IN_PRODUCTION]
    assert await owner.fetchval("select count(*) from card.bank_row where answer is null") == 0


async def test_a_return_that_does_not_agree_with_its_header_does_nothing(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    (application,) = await apply(registry, 1)
    (file,) = await files.send()
    assert await files.answer(file, account_number, count_more=1) is ReturnFault.COUNT_DIFFERS
    assert await state_of(owner, application) == (AT_BANK, 0)
    assert await owner.fetchval("select count(*) from card.audit where act = 'bank.return_refused'") == 1


async def test_another_answer_than_the_first_stands_on_the_work_list_until_somebody_has_cleared_it(
    registry: Registry, owner: Owner, files: Folder, hall: Hall
) -> None:
    (application,) = await apply(registry, 1)
    (file,) = await files.send()
    await files.answer(file, account_number)
    taken = await files.answer(file, lambda _: "102")
    assert isinstance(taken, Taken)
    assert taken.faults == {1: RowFault.CONFLICT}
    assert await state_of(owner, application) == (IN_PRODUCTION, 0)
    (listed,) = await work(registry)
    assert listed.fault == RowFault.CONFLICT
    window = await hall.window()
    (shown,) = (await window.ask("ListBankWork", messages.ListBankWorkRequest())).work
    assert (shown.application_id, shown.cause.reason) == (application, "CONFLICT")
    request = messages.ClearBankFaultRequest(request_id="r1", batch=shown.batch, row=shown.row)
    assert (await window.ask("ClearBankFault", request)).cleared == 1
    assert (await window.ask("ClearBankFault", request)).cleared == 1, "a repeat hears the first answer"
    assert not (await window.ask("ListBankWork", messages.ListBankWorkRequest())).work


async def test_what_the_bank_is_late_with_is_on_the_work_list(registry: Registry, files: Folder) -> None:
    (application,) = await apply(registry, 1)
    before_ms = now_ms()
    await files.send()
    assert await work(registry, before_ms - 1000) == []
    (listed,) = await work(registry, now_ms() + 1000)
    assert (listed.application, listed.cause, listed.fault) == (application, 0, 0)


async def test_a_card_that_is_issued_at_once_does_not_wait_for_the_bank_and_is_in_the_next_batch(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    (application,) = await apply(registry, 1, mode=Mode.INSTANT)
    account = account_number(77)
    await registry.begin(application)
    assert await files.send() == [], "there is no card yet"
    await registry.end(application, bank_account=account)
    card = await registry.card_of(application)
    for verb in (Verb.COLLECT, Verb.ENABLE):
        await registry.change(card, verb)
    (file,) = await files.send()
    (asked,) = read_applications(file).rows
    assert (asked.application, asked.account) == (application, account)
    taken = await files.answer(file, lambda _: account_number(78))
    assert isinstance(taken, Taken)
    assert taken.faults == {1: RowFault.ACCOUNT_DIFFERS}
    await files.answer(file, lambda _: account)
    assert await files.send() == []
    assert await social(owner, card) is SocialStatus.NORMAL
    assert (await registry.change(card, Verb.ACTIVATE)).refusal is None


async def test_a_later_no_of_the_bank_leaves_the_social_side_and_may_be_asked_again(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    (application,) = await apply(registry, 1, mode=Mode.INSTANT)
    card = await registry.hand_over(application)
    (file,) = await files.send()
    await files.answer(file, lambda _: "103")
    assert await social(owner, card) is SocialStatus.NORMAL
    assert await owner.fetchval("select financial from card.card where id = $1", card) == 3
    (listed,) = await work(registry)
    assert (listed.card, listed.cause) == (card, BankCause.RISK)
    assert await files.send() == [], "it is not asked again by itself"
    assert (await registry.change(card, Verb.ASK_BANK_AGAIN)).refusal is None
    assert await work(registry) == []
    (again,) = await files.send()
    await files.answer(again, account_number)
    assert await owner.fetchval("select financial, bank_account is not null from card.card where id = $1", card) == 1
    assert (await registry.change(card, Verb.ACTIVATE)).refusal is None


async def test_a_name_that_cannot_be_carried_is_named_at_once_waits_for_somebody_and_the_others_go(
    bank: Bank, owner: Owner, hall: Hall, tmp_path: Path
) -> None:
    window = await hall.window()
    named = await window.ask("Submit", request(1, person=person(1, name=NAME_BEYOND_GBK)))
    assert "U+4DAE" in named.not_carried[0]
    assert list(named.application.not_carried_by) == ["BANK_FILE", "CHIP"]
    plain = await window.ask("Submit", request(2, "r2"))
    assert not plain.not_carried
    rare, other = named.application.application_id, plain.application.application_id
    sent = await bank.send(tmp_path, BANK, now_ms())
    assert (sent.rows, list(sent.not_carried)) == (1, [rare])
    assert [await state_of(owner, a) for a in (rare, other)] == [(APPLIED, 0), (AT_BANK, 0)]
    (shown,) = (await window.ask("ListBankWork", messages.ListBankWorkRequest(page_size=1))).work
    assert (shown.application_id, shown.cause.reason) == (rare, "NAME_NOT_CARRIED")
    assert "U+4DAE" in shown.cause.message


async def test_a_card_whose_chip_cannot_carry_the_name_is_not_begun_at_once(registry: Registry) -> None:
    (rare,) = await registry.submit(submission(1, name=NAME_BEYOND_GBK, wanted=INSTANT))
    assert rare.application is not None
    assert (await registry.begin(rare.application)).refusal is Refusal.NAME_NOT_CARRIED


async def test_what_was_refused_is_handed_in_again_for_another_account_and_its_time_begins_anew(
    registry: Registry, owner: Owner, files: Folder, hall: Hall
) -> None:
    window = await hall.window()
    made = (await window.ask("Submit", request(1, photo=b""))).application.application_id
    await window.ask("Refuse", applications.RefuseRequest(request_id="r2", application_id=made, remark="papers"))
    asked = applications.ResubmitRequest(request_id="r3", application_id=made, class_2_account=True)
    assert (await window.ask("Resubmit", asked)).refusal.reason == "PHOTO_AWAITED"
    await owner.execute("update card.application set due_time = now() - interval '1 day'")
    again = await window.ask(
        "Resubmit", applications.ResubmitRequest(request_id="r4", application_id=made, photo=good_photo(), class_2_account=True)
    )
    assert again.application.state == applications.APPLICATION_STATE_APPLIED
    assert not again.application.overdue
    (file,) = await files.send()
    assert file.decode("gbk").splitlines()[1].split("|")[-2] == "2"


async def test_a_name_that_the_bank_did_not_know_is_put_right_and_handed_in_again(
    registry: Registry, owner: Owner, files: Folder, hall: Hall
) -> None:
    window = await hall.window()
    made = (await window.ask("Submit", request(1, person=person(1, name=NAME_BEYOND_GBK)))).application.application_id
    await window.ask("Refuse", applications.RefuseRequest(request_id="r2", application_id=made, remark="name"))
    told = await window.ask("Resubmit", applications.ResubmitRequest(request_id="r0", application_id=made, photo=good_photo()))
    assert "U+4DAE" in told.not_carried[0]
    await window.ask("Refuse", applications.RefuseRequest(request_id="r7", application_id=made, remark="name"))
    right = person(1, name="李某")
    again = await window.ask(
        "Resubmit", applications.ResubmitRequest(request_id="r3", application_id=made, person=right)
    )  # fmt: skip
    assert not again.HasField("refusal")
    assert not again.application.not_carried_by
    assert not again.not_carried
    (file,) = await files.send()
    (asked,) = read_applications(file).rows
    assert asked.name == "李某"
    taken = await window.ask("Submit", request(2, "r4"))
    await window.ask(
        "Refuse", applications.RefuseRequest(request_id="r5", application_id=taken.application.application_id, remark="x")
    )
    somebody = applications.ResubmitRequest(request_id="r6", application_id=taken.application.application_id, person=right)
    assert (await window.ask("Resubmit", somebody)).refusal.reason == "NUMBER_TAKEN", "nobody becomes somebody else"
    assert await owner.fetchval("select count(*) from card.former_identity") == 1


async def test_who_has_had_a_card_is_not_put_right_by_a_form(registry: Registry, hall: Hall) -> None:
    await registry.first_card(1)
    window = await hall.window()
    card = await registry.card_of(1)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    made = await registry.apply_again(1, ApplicationKind.REISSUE)
    assert made.application is not None
    await window.ask("Refuse", applications.RefuseRequest(request_id="r1", application_id=made.application, remark="x"))
    asked = applications.ResubmitRequest(request_id="r2", application_id=made.application, person=person(1, name="李某"))
    assert (await window.ask("Resubmit", asked)).refusal.reason == "CORRECTION_NEEDED"


class AtTheCounter(AccountServiceServicer):
    """A bank that answers at once, as it is told."""

    said: messages_of_bank.OpenAccountResponse
    late_seconds = 0.0

    async def OpenAccount(self, request: Any, context: Any) -> messages_of_bank.OpenAccountResponse:  # noqa: N802
        await asyncio.sleep(self.late_seconds)
        return self.said


@pytest.fixture
async def counter() -> AsyncIterator[tuple[AtTheCounter, int]]:
    server, bank = grpc.aio.server(), AtTheCounter()
    add_AccountServiceServicer_to_server(bank, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield bank, port
    await server.stop(None)


@pytest.mark.parametrize("said", [*BankCause, "account", "nonsense", "late"])
async def test_a_bank_that_is_asked_at_once_decides_about_the_financial_side_alone(
    registry: Registry, owner: Owner, tmp_path: Path, counter: tuple[AtTheCounter, int], said: BankCause | str
) -> None:
    bank, port = counter
    answers = {"account": {"account": account_number(5)}, "nonsense": {"account": "12"}, "late": {"account": account_number(5)}}
    bank.said = messages_of_bank.OpenAccountResponse(**answers.get(str(said), {"cause": str(said)}))
    bank.late_seconds = 5 if said == "late" else 0
    settings = replace(registry.settings, bank=replace(registry.settings.bank, instant="online"))
    online = OnlineBank(f"127.0.0.1:{port}", None, 0.3 if said == "late" else 10)
    asked = Bank(registry.engine, registry.sealing, settings, online)
    (application,) = await apply(registry, 1, mode=Mode.INSTANT)
    await registry.begin(application)
    async with open_hall(registry, owner, tmp_path, bank=asked) as hall:
        issuance = await hall.window(subject=ISSUANCE, token="")
        request = cards.EndProductionRequest(request_id="r1", application_id=application, made=True)
        for _ in range(2):  # a repeat hears the first answer
            ended = await issuance.ask("EndProduction", request)
            assert ended.application.state == applications.APPLICATION_STATE_AT_OUTLET
    await online.close()
    financial, has_account = await owner.fetchrow("select financial, bank_account is not null from card.card") or (0, False)
    sent = await asked.send(tmp_path / "out", BANK, now_ms())
    match said:
        case BankCause():
            assert (financial, has_account, sent.rows) == (3, False, 0)
            assert [listed.cause for listed in await work(registry)] == [said]
        case "account":
            assert (financial, has_account, sent.rows) == (1, True, 0)
        case _:
            assert (financial, has_account, sent.rows) == (1, False, 1), "the files follow"


async def test_files_come_and_go_through_a_folder(registry: Registry, owner: Owner, bank: Bank, tmp_path: Path) -> None:
    (application,) = await apply(registry, 1)
    exchange = ExchangeBankFiles(bank, tmp_path, send_every_seconds=0)
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await exchange(connection)
        (file,) = (tmp_path / "out").glob("*.txt")
        assert file.stat().st_mode & 0o077 == 0, "people's names are in it"
        asked = read_applications(file.read_bytes())
        (tmp_path / "in").mkdir()
        rows = [Answered(row, "1", account_number(row.application), "000") for row in asked.rows]
        (tmp_path / "in" / "bad.txt").write_bytes(b"nonsense")
        (tmp_path / "in" / "good.txt").write_bytes(write_return(asked, 1, rows))
        await exchange(connection)
    assert await state_of(owner, application) == (IN_PRODUCTION, 0)
    assert not list((tmp_path / "in").iterdir())
    assert len(list((tmp_path / "taken").iterdir())) == len(list((tmp_path / "refused").iterdir())) == 1


async def test_a_return_is_taken_though_somebody_of_its_batch_was_deleted_meanwhile(
    registry: Registry, owner: Owner, files: Folder
) -> None:
    first, second = await apply(registry, 1, 2)
    (file,) = await files.send()
    asked = read_applications(file)
    rows = {row.application: row for row in asked.rows}
    refused = Answered(rows[first], "2", "", "101")
    assert isinstance(await files.take(write_return(asked, 1, [refused])), Taken)
    await registry.step(first, Step.WITHDRAW)
    holder = await owner.fetchval("select holder from card.application where id = $1", first)
    await transact(registry.engine, lambda driver: forget_holder(driver, holder, now_ms()))
    opened = Answered(rows[second], "1", account_number(second), "000")
    taken = await files.take(write_return(asked, 2, [opened, refused]))
    assert isinstance(taken, Taken)
    assert (taken.opened, taken.refused, taken.faults) == (1, 0, {rows[first].row: RowFault.UNKNOWN_ROW})
    assert await state_of(owner, second) == (IN_PRODUCTION, 0)


async def test_nobody_is_corrected_while_the_bank_has_the_name(registry: Registry, owner: Owner, files: Folder) -> None:
    (application,) = await apply(registry, 1)
    (file,) = await files.send()
    holder = await owner.fetchval("select holder from card.application where id = $1", application)

    async def correct(driver: Any) -> Corrected:
        put_right = Correction(holder, name="李正")
        return await correct_identity(driver, registry.sealing, put_right, CLERK, now_ms(), approved=True)

    assert (await transact(registry.engine, correct)).refusal is Refusal.APPLICATION_AT_BANK
    assert isinstance(await files.answer(file, account_number), Taken)
    assert (await transact(registry.engine, correct)).refusal is None


async def test_a_return_that_brings_us_into_trouble_is_put_aside_and_the_next_one_is_taken(
    registry: Registry, bank: Bank, files: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (application,) = await apply(registry, 1)
    (file,) = await files.send()
    asked = read_applications(file)
    right = write_return(asked, 1, [Answered(asked.rows[0], "1", account_number(application), "000")])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1-trouble.txt").write_bytes(b"trouble")
    (tmp_path / "in" / "2-right.txt").write_bytes(right)
    take = bank.take

    async def troubled(data: bytes, *others: Any) -> Any:
        if data == b"trouble":
            raise KeyError("李" + "明")
        return await take(data, *others)

    monkeypatch.setattr(bank, "take", troubled)
    with capture_logs() as logs:
        async with registry.engine.connect() as connection:
            await ExchangeBankFiles(bank, tmp_path, 3600)(connection)
    (failed,) = [line for line in logs if line["event"] == "bank_return_failed"]
    assert (failed["file"], failed["error"]) == ("1-trouble.txt", "KeyError")
    assert "李明" not in str(logs)
    assert [path.name[:7] for path in (tmp_path / "refused").iterdir()] == ["1-troub"]
    assert [path.name[:7] for path in (tmp_path / "taken").iterdir()] == ["2-right"]
