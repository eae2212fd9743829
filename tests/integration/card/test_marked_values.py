"""Marked values go through every call of the service, and are looked for wherever they must never be.

What may hold them: ciphertexts, the answers, the bank's files, and, of all topics, `card.events` the birth date.
"""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import generate_latest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import privacy_pb2 as privacy
from onecard.card.v1 import window_pb2 as window_messages
from services.card.adapters.audit import BOOK
from services.card.adapters.people import read_holders
from services.card.domain.life_cycle import Verb
from services.card.domain.person import Field
from services.card.handlers.delete_holder import ListDeletions
from services.card.handlers.relay_events import RelayEvents
from services.card.handlers.relay_hotlist import RelayHotlist
from services.common.audit.seal import SealAudit
from services.common.database import driver_session
from tests.integration.card.test_deletion import Payments, agreed, chiefs, delete
from tests.integration.card.test_production import blank, desk_of
from tests.support.cardholders import Registry, citizen_number
from tests.support.hall import ISSUANCE, Hall, Owner, Window, open_hall, person, request
from tests.support.marked import stands_in
from tests.support.photos import good_photo

NAME, OTHER_NAME, GUARDIAN = "欧阳标记", "欧阳更正", "诸葛监护"
PHONE, ADDRESS, ACCOUNT, PASSPORT, PIN = "13987654321", "标记路七十七号", "6222027700112233445", "E77665544", "739164"
NUMBER, GUARDIANS_NUMBER, OTHER_NUMBER = citizen_number(77), citizen_number(88), citizen_number(1099)
BORN, OTHER_BORN = (f"{number[6:10]}-{number[10:12]}-{number[12:14]}" for number in (NUMBER, OTHER_NUMBER))
MARKED = {NAME, OTHER_NAME, GUARDIAN, PHONE, ADDRESS, ACCOUNT, PASSPORT, PIN, NUMBER, GUARDIANS_NUMBER, OTHER_NUMBER}
BY_FIELD = {
    "phone": PHONE,
    "address": ADDRESS,
    "birth_date": BORN,
    "pin": PIN,
    "new_pin": PIN,
    "password": PIN,
    "number": NUMBER,
}
SAID_IN_WORDS = {"purpose", "remark", "reason", "outlet", "login"}
"""What somebody of the staff writes for others: the clerk is told to write no name there."""

FED = {
    # ApplicationService
    "Submit",
    "AddPhoto",
    "Withdraw",
    "Refuse",
    "Resubmit",
    "GetApplication",
    "ListApplications",
    "SubmitBatch",
    "GetBatch",
    # ApprovalService
    "ListApprovals",
    "GetApproval",
    "DecideApproval",
    # BankService
    "ListBankWork",
    "ClearBankFault",
    # CardService
    "Collect",
    "Enable",
    "Activate",
    "ReportTemporaryLoss",
    "ReportFormalLoss",
    "Release",
    "Unlock",
    "VerifyPin",
    "ChangePin",
    "ResetPin",
    "Extend",
    "Cancel",
    "HandOut",
    "AskBankAgain",
    "ListAllowedActions",
    "BeginProduction",
    "EndProduction",
    # ElectronicCardService
    "SignUp",
    "RaiseLevel",
    "ResetPassword",
    "CancelElectronicCard",
    "IssueToken",
    # KitService
    "GetSealingKey",
    "SubmitSealed",
    "ReportQueue",
    "ListLostQueues",
    "ClearLostQueue",
    # PrivacyService
    "GiveConsent",
    "WithdrawConsent",
    "SearchHolders",
    "ExportHolder",
    "DeleteHolder",
    "CorrectIdentity",
    "ChangeContact",
    # ProductionService
    "WhoActs",
    "ListRevoked",
    "ReadCardData",
    "CompleteIssue",
    # SessionService
    "OpenSession",
    "EndSession",
    # SpendingLimitService
    "SetSpendingLimits",
    # StaffService
    "SignIn",
    "SignOut",
    "CreateStaff",
    "ListStaff",
    "SuspendStaff",
    "ResumeStaff",
    "UnlockStaff",
    "RecordLeaving",
    "ChangeStaff",
    "ResetStaff",
    # TerminalService
    "RequestTerminal",
    "DecideTerminal",
    "RenewTerminal",
    "RevokeTerminal",
    "ListTerminals",
    # WindowService
    "GetHolderView",
    "CompleteVisit",
    "GetVisit",
    "ListWork",
}
"""Every call. Whoever adds one looks at what `marked` makes of its request, and names it here."""


class Broker:
    """Takes what is sent to any topic."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    async def send(self, topic: str, records: Iterable[tuple[bytes | None, bytes]]) -> None:
        self.sent += [(topic, (key or b"") + value) for key, value in records]

    async def send_everywhere(self, topic: str, key: bytes, value_of: Any) -> None:
        self.sent.append((topic, key + value_of(1)))


@pytest.fixture
async def hall(registry: Registry, owner: Owner, tmp_path: Path) -> AsyncIterator[Hall]:
    async with open_hall(registry, owner, tmp_path, Payments()) as opened:  # type: ignore[arg-type]  # it stands for payments
        yield opened


def marked(message: Any, depth: int = 0) -> Any:
    """Every text of a message is a marked one, by the name of its field; every choice is the first."""
    for field in message.DESCRIPTOR.fields:
        repeated = field.is_repeated
        if field.containing_oneof and message.WhichOneof(field.containing_oneof.name):
            continue
        if field.message_type and not field.message_type.GetOptions().map_entry and depth < 4:
            inner = getattr(message, field.name).add() if repeated else getattr(message, field.name)
            marked(inner, depth + 1)
            if not repeated:
                inner.SetInParent()
        elif field.type == FieldDescriptor.TYPE_STRING and "token" not in field.name:
            text = (
                f"r-{message.DESCRIPTOR.name}"
                if field.name in ("request_id", "visit_id", "batch_id")
                else BY_FIELD.get(field.name, "other" if field.name in SAID_IN_WORDS else NAME)
            )
            getattr(message, field.name).append(text) if repeated else setattr(message, field.name, text)
        elif field.type in (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32) and not repeated:
            setattr(message, field.name, 1)
    return message


def all_calls(window: Window) -> Iterator[tuple[str, Any, Any, bool]]:
    pool = descriptor_pool.Default()
    for stub in window._stubs:
        for method in pool.FindServiceByName(f"onecard.card.v1.{type(stub).__name__.removesuffix('Stub')}").methods:
            yield method.name, getattr(stub, method.name), GetMessageClass(method.input_type), method.client_streaming


async def feed_every_call(windows: Iterable[Window]) -> tuple[set[str], list[str]]:
    """Marked requests from each window; answers which calls there are, and everything that errors said."""
    fed, said = set(), []
    for window in windows:
        for name, call, kind, streams in all_calls(window):
            fed.add(name)
            if name in ("SignOut", "EndSession"):
                continue  # with nothing in it, and the end of everything behind it
            message = marked(kind())
            try:
                await call(iter([message]) if streams else message, metadata=window.metadata, timeout=20)
            except grpc.aio.AioRpcError as error:
                said.append(f"{error.details()} {error.trailing_metadata()} {error.debug_error_string()}")
    return fed, said


async def one_life(hall: Hall, registry: Registry, owner: Owner, broker: Broker) -> set[str]:
    """From an application to a deletion, with marked values that are accepted; answers what more is to be looked for."""
    clerk, (chief, other) = await hall.window(), await chiefs(hall)
    shown = applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=NUMBER)
    guardian = applications.Representative(
        relation=applications.RELATION_PARENT,
        name=GUARDIAN,
        document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=GUARDIANS_NUMBER),
        papers=["委托书"],
    )
    somebody = person(77, name=NAME, phone=PHONE, address=ADDRESS, document=shown)
    proxy = {"route": applications.ROUTE_PROXY, "representative": guardian}
    made = await clerk.ask("Submit", request(77, "m1", person=somebody, photo=good_photo(), **proxy))
    holder, application = made.application.holder_id, made.application.application_id
    again = request(77, "m2", person=person(77, name=OTHER_NAME, document=shown))
    assert (await clerk.ask("Submit", again)).refusal.reason == "PERSON_DIFFERS"
    passport = applications.Document(kind=applications.DOCUMENT_KIND_PASSPORT, number=PASSPORT, issuing_country="GBR")
    stranger = person(77, name=NAME, phone=PHONE, document=passport, birth_date=BORN)
    assert (await clerk.ask("Submit", request(77, "m3", person=stranger))).refusal.reason == "POSSIBLE_SAME_PERSON"
    card = await made_at_once(hall, application)
    async with driver_session(registry.engine) as driver:
        cipher = (await read_holders(driver, registry.sealing, [holder]))[holder].cipher
    sealed = cipher.seal(Field.BANK_ACCOUNT, ACCOUNT.encode())
    await owner.execute("update card.card set bank_account = $1 where id = $2", sealed, card)
    consent = privacy.GiveConsentRequest(request_id="m4", holder_id=holder, kind=applications.CONSENT_KIND_FINANCE)
    assert not (await clerk.ask("GiveConsent", consent)).HasField("refusal")
    seen = await clerk.ask("GetHolderView", window_messages.GetHolderViewRequest(document=shown, unmasked=True, purpose="核对"))
    assert seen.holder.name == NAME
    assert len((await clerk.ask("SearchHolders", privacy.SearchHoldersRequest(name=NAME, birth_date=BORN))).holders) == 1
    document = (
        await chief.ask("ExportHolder", privacy.ExportHolderRequest(holder_id=holder, purpose="本人"))
    ).document.decode()
    assert all(text in document for text in (NAME, NUMBER, PHONE, ADDRESS, ACCOUNT, GUARDIAN))
    corrected = privacy.CorrectIdentityRequest(request_id="m5", holder_id=holder, name=OTHER_NAME, document=shown)
    corrected.document.number = OTHER_NUMBER
    assert not (await agreed(clerk, chief, "CorrectIdentity", corrected)).HasField("refusal")
    await publish(registry, broker)
    await registry.change(card, Verb.CANCEL)
    await owner.execute("update card.remainder set done = true")
    await everything_is_clean(owner, MARKED | {seen.holder.cards[0].card_number})
    assert not (await agreed(chief, other, "DeleteHolder", delete(holder))).HasField("refusal")
    return {seen.holder.cards[0].card_number}


async def made_at_once(hall: Hall, application: int) -> int:
    """As issuance makes it: everything that goes onto the card is told, and a PIN is chosen when it is handed over."""
    desk = await desk_of(hall)
    begun = await desk.begin(application, blank(1), with_card_data=True, acting=desk.acting)
    assert (begun.card_data.name, begun.card_data.social_security_number) == (NAME, NUMBER)
    await desk.end(application)
    assert (await desk.read(application_id=application)).birth_date == BORN
    done = await desk.complete(application, new_pin=PIN)
    assert not done.HasField("refusal"), done
    card: int = done.card.card_id
    return card


async def publish(registry: Registry, broker: Broker) -> None:
    """Everything that leaves for a topic."""
    events, seals = RelayEvents(registry.engine, registry.sealing, broker), SealAudit(BOOK, registry.vault, broker)  # type: ignore[arg-type]
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        hotlist = RelayHotlist(broker, registry.settings.hotlist)  # type: ignore[arg-type]  # a broker in memory
        for duty in (events, hotlist, seals, ListDeletions(broker)):  # type: ignore[arg-type]
            await duty(connection)


async def everything_is_clean(owner: Owner, texts: Iterable[str]) -> None:
    """No table of the service holds one of these in the clear, as text or as bytes."""
    tables = await owner.fetch("select tablename from pg_tables where schemaname = 'card'")
    for (table,) in tables:
        stored = "\n".join(row[0] for row in await owner.fetch(f'select t::text from card."{table}" t'))
        for text in texts:
            assert not stands_in(text, stored), table
            assert text.encode().hex() not in stored, table


async def test_no_marked_value_is_found_where_it_must_not_be(
    hall: Hall,
    registry: Registry,
    owner: Owner,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    drawn = await one_life(hall, registry, owner, broker)
    await publish(registry, broker)
    windows = [await hall.window(), (await chiefs(hall))[0], await hall.window(role=7)]
    windows.append(await hall.window(subject=ISSUANCE, token=""))
    fed, said = await feed_every_call(windows)
    assert sorted(fed ^ FED) == [], "a call is new, or gone: name it in FED"
    texts = MARKED | drawn
    await everything_is_clean(owner, texts)
    logs = "\n".join([*capfd.readouterr(), caplog.text])
    names = "\n".join(file for _, folders, files in os.walk(tmp_path) for file in (*folders, *files))
    places = {"logs": logs, "metrics": generate_latest().decode(), "errors": "\n".join(said), "file names": names}
    there = {"logs": "call_refused", "metrics": "onecard_applications_total", "errors": "NOT_YOUR_RIGHT", "file names": "token"}
    for place, content in places.items():
        assert there[place] in content, f"nothing was looked at: {place}"
        assert not [text for text in texts if stands_in(text, content)], place
    with pytest.raises(AssertionError, match="440703-01"):
        await everything_is_clean(owner, ["440703-01"])  # what is there is found
    assert {topic for topic, _ in broker.sent} == {"card.events", "card.hotlist", "audit.seals", "card.deletions"}
    for topic, record in broker.sent:
        assert not [text for text in texts if text.encode() in record], topic
    births = {topic for topic, record in broker.sent if BORN.encode() in record or OTHER_BORN.encode() in record}
    assert births == {"card.events"}
