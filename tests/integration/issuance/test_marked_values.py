"""A whole issuance with marked values: neither they nor a key are found anywhere but in ciphertexts, on the chip and the plastic.

A kit queues an application and hands it in; a blank is spoiled, a card is cut and resumed, printed by way of CUPS and handed over;
its PIN is reloaded and the chip is checked; every other call is fed with marked values.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.request import urlopen

import asyncpg
import grpc
import pypdfium2
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import generate_latest

from onecard.card.v1 import applications_pb2 as applications
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.blanks_pb2 import DecideCountersignatureRequest
from onecard.issuance.v1.blanks_pb2_grpc import BlankServiceStub, CountersignServiceStub, ShiftServiceStub
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceStub
from sdk.merchant.access import Credentials, open_line
from sdk.window.devices import ipp
from sdk.window.devices.cups_printer import CupsPrinter
from sdk.window.devices.making import made
from sdk.window.devices.printer import CardFace, Printed
from sdk.window.issuance import Issuance
from sdk.window.kit import Kit, queue_application
from sdk.window.kit_queue import KitQueue
from services.common.database import make_engine
from services.common.keyvault.software import open_token
from services.issuance.adapters.products import read_products
from services.issuance.handlers.relay_events import RelayEvents
from simulation.chips.assumed import card_key
from simulation.chips.card import Cut
from tests.integration.card.test_marked_values import ADDRESS, NAME, NUMBER, PHONE, Broker, everything_is_clean, marked
from tests.support.blanks import KIT
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import SUPERVISOR, WINDOW, Window, open_hall, person, request
from tests.support.hostile_terminal import forms
from tests.support.issuance_city import Booth, IssuanceCity, open_city
from tests.support.issuance_room import PRESENTED
from tests.support.marked import stands_in
from tests.support.photos import good_photo
from tests.support.town import Database
from tests.support.vault_process import PIN as VAULT_PIN
from tests.unit.sdk.devices.test_cups_printer import Cups

Driver: TypeAlias = "asyncpg.Connection[Any]"
FIRST_PIN, NEXT_PIN = "739516", "864209"
"""The first is what a booth's holder keys in."""
KEEPER, SECURITY = 3, 7
FED: Final = {
    # BlankService
    "ReceiveDelivery",
    "AssignBlanks",
    "TransferBlanks",
    "ConfirmTransfer",
    "SpoilBlank",
    "ReturnBlanks",
    "DestroyBlanks",
    "ReportMissing",
    "ReportFound",
    "CountStock",
    "ListBlanks",
    "GetBlank",
    # CountersignService
    "ListCountersignatures",
    "DecideCountersignature",
    # ShiftService
    "CountShift",
    "CloseShift",
    # IssuanceService
    "Personalise",
    "UpdateCard",
    "CheckCard",
}
"""Every call. Whoever adds one looks at what `marked` makes of its request, and names it here."""


class HeardIssuance(Issuance):
    """A terminal's line, and all that went over it as the terminal saw it."""

    heard: Final[list[bytes]] = []

    def _talk(self, call: Any, begin: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        self.heard.append(begin.SerializeToString())
        for message, answer in super()._talk(call, begin):
            self.heard.append(message.SerializeToString())

            def say(said: Any, answer: Callable[[Any], None] = answer) -> None:
                self.heard.append(said.SerializeToString())
                answer(said)

            yield message, say


class CupsBooth(Booth):
    """Its printer is one of CUPS."""

    spoils = False

    def print(self, face: CardFace) -> Printed:
        self.printed.append(face)
        return Printed.UNKNOWN if self.spoils else CupsPrinter("card").print(face)

    def look(self) -> messages.CardLooks:
        return messages.CARD_LOOKS_SPOILED


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CUPS, as a script that plays it; where it keeps its jobs."""
    folder = tmp_path / "cups"
    folder.mkdir()
    played = Cups(folder)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    monkeypatch.setenv("CUPS", str(folder))
    monkeypatch.setattr(ipp, "state_of", played.state_of)
    monkeypatch.setattr(ipp, "purge", played.purge)
    return folder


@pytest.fixture
async def city(database: Database, owner: Driver, tmp_path: Path, spool: Path) -> AsyncIterator[IssuanceCity]:
    engine = make_engine(database.card_url, "tests", sessions=16)
    async with (
        open_hall(Registry(engine, make_vault(tmp_path)), owner, tmp_path) as hall,
        open_city(database, hall, tmp_path) as opened,
    ):
        opened.issuance = HeardIssuance
        HeardIssuance.heard.clear()
        await opened.sign_in(KIT)
        await opened.start().serves()
        yield opened
    await engine.dispose()


def queued_and_handed_in(city: IssuanceCity, folder: Path) -> tuple[int, bytes]:
    """The application, and what stood on the kit's disk while it waited."""
    issued = city.hall.authority.issue(KIT)
    line = open_line(
        f"localhost:{city.hall.port}", KIT, Credentials(issued.certificate, issued.key, city.hall.authority.certificate)
    )
    folder.mkdir()
    document = applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=NUMBER)
    somebody = person(77, name=NAME, phone=PHONE, address=ADDRESS, document=document)
    with Kit(line, token=city.tokens[KIT]) as kit, KitQueue(folder / "queue") as queue:
        kit.touch(queue)
        queue_application(queue, request(77, "", person=somebody, mode=applications.MODE_ON_SITE, photo=good_photo()))
        stored = on_disk(folder)
        (uploaded,) = kit.upload(queue)
    assert uploaded.refusal is None
    return uploaded.verdict.application_id, stored + on_disk(folder)


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


async def one_life(city: IssuanceCity, application: int) -> CupsBooth:
    """Spoiled, resumed, issued, updated, checked; answers the card."""
    spoiled, booth, _ = (CupsBooth(one.blank, KIT) for one in await city.booths(3, at=KIT))
    spoiled.spoils = True
    assert (await city.issue(spoiled, application)).outcome == messages.ISSUE_OUTCOME_SPOILED
    booth.chip.cut = Cut(20, executed=True)
    assert (await city.issue(booth, application)).outcome == messages.ISSUE_OUTCOME_TRY_AGAIN
    assert (await city.issue(booth, application)).outcome == messages.ISSUE_OUTCOME_ISSUED
    supervisor = await signed_in(city, SUPERVISOR)

    def reload() -> messages.Updated:
        with booth.inserted() as reader, city.window(KIT) as window:
            identifier = booth.chip.identifier.hex().upper()
            return window.reload_pin(reader, identifier, NEXT_PIN, PRESENTED, request_id="u1")

    asked = (await asyncio.to_thread(reload)).countersignature_id
    signed = DecideCountersignatureRequest(countersignature_id=asked, sign=True)
    await CountersignServiceStub(supervisor.channel).DecideCountersignature(signed, metadata=supervisor.metadata)
    await supervisor.channel.close()
    assert (await asyncio.to_thread(reload)).done
    assert booth.chip.pin == NEXT_PIN

    checked = await city.check(booth)
    assert checked.agrees
    assert not [text for text in (NAME, NUMBER) if text.encode() in checked.SerializeToString()]
    return booth


async def signed_in(city: IssuanceCity, role: int) -> Window:
    """Somebody of a role, with a line to issuance."""
    token = (await city.hall.window(role)).token
    return Window(int(city.address.rpartition(":")[2]), city.hall.authority, WINDOW, token)


async def feed_every_call(city: IssuanceCity) -> tuple[set[str], list[str]]:
    """Marked requests from people of each role; answers which calls there are, and everything that errors said."""
    fed, said, pool = set(), [], descriptor_pool.Default()
    for role in (1, SUPERVISOR, KEEPER, SECURITY):
        window = await signed_in(city, role)
        for stub in (BlankServiceStub, CountersignServiceStub, ShiftServiceStub, IssuanceServiceStub):
            service = pool.FindServiceByName(f"onecard.issuance.v1.{stub.__name__.removesuffix('Stub')}")
            made_stub: Any = stub(window.channel)
            for method in service.methods:
                fed.add(method.name)
                message = marked(GetMessageClass(method.input_type)())
                if method.server_streaming:
                    message.ClearField("at")
                asked: Any = iter([message]) if method.client_streaming else message
                call = getattr(made_stub, method.name)(asked, metadata=window.metadata, timeout=60)
                try:
                    if method.server_streaming:
                        said += [str(one) async for one in call]
                    else:
                        said.append(str(await call))
                except grpc.aio.AioRpcError as error:
                    said.append(f"{error.details()} {error.trailing_metadata()} {error.debug_error_string()}")
        await window.channel.close()
    return fed, said


async def stored_by_issuance(owner: Driver) -> dict[str, str]:
    """Each table, as text; what is bytes is in hexadecimal digits."""
    tables = [row[0] for row in await owner.fetch("select tablename from pg_tables where schemaname = 'issuance'")]
    return {
        table: "\n".join(row[0] for row in await owner.fetch(f'select t::text from issuance."{table}" t')) for table in tables
    }


async def published(city: IssuanceCity) -> list[tuple[str, bytes]]:
    """Everything that leaves for a topic."""
    broker = Broker()
    broker.start = broker.stop = lambda: asyncio.sleep(0)  # type: ignore[attr-defined] # as an announcer has them
    async with city.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await RelayEvents(broker)(connection)  # type: ignore[arg-type]  # a broker in memory
    return broker.sent


def found_in(texts: set[str], content: str) -> list[str]:
    """Of the marked texts: as they are, and as bytes would show them, in the alphabets of the database and of the chip."""
    digits = content.lower()
    return [text for text in texts if stands_in(text, content) or any(form in digits for form in hex_of(text))]


def hex_of(text: str) -> Iterator[str]:
    """In bytes; a PIN stands on a chip in half bytes, behind its length."""
    yield text.encode().hex()
    yield text.encode("gbk").hex()
    if len(text) < 8:
        yield f"{len(text) // 2:02x}{text}"


def found_in_bytes(texts: set[str], content: bytes) -> list[str]:
    return [text for text in texts if text.encode() in content or text.encode("gbk") in content]


def keys_of(city: IssuanceCity, booths: "list[CupsBooth]") -> list[bytes]:
    """Roots, and every key that was ever on one of these chips."""
    secrets = [VAULT_PIN.encode(), b"pin of a test"]
    roots = {key.label: key.secret for key in open_token(city.folder / "chips.token", VAULT_PIN)._keys}
    secrets += [*roots.values(), *city.factory.keys.values()]
    for booth in booths:
        product = next(one for one in read_products() if one.code == booth.chip.kind.code)
        kind, name = product.algorithm, product.algorithm.lower()
        finals = {key.address: card_key(kind, roots[f"{name}.{key.name}"], booth.chip.identifier) for key in product.keys}
        assert booth.chip.keys == finals  # it really has these
        secrets += [*finals.values(), card_key(kind, city.factory.keys[f"{name}.transport"], booth.chip.identifier)]
    return secrets


def metrics_of(city: IssuanceCity) -> str:
    """Of all processes."""
    pages = [generate_latest().decode()]
    vault = f"http://127.0.0.1:{city.keys.environment['ONECARD_METRICS_PORT']}/metrics"
    for address in (vault, *(process.metrics_address for process in city.processes)):
        with urlopen(address, timeout=30) as page:
            pages.append(page.read().decode())
    return "\n".join(pages)


async def test_neither_a_marked_value_nor_a_key_is_found_where_it_must_not_be(
    city: IssuanceCity,
    owner: Driver,
    spool: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "onecard")
    application, kit_store = await asyncio.to_thread(queued_and_handed_in, city, tmp_path / "kit")
    booth = await one_life(city, application)
    (face,) = booth.printed
    fed, said = await feed_every_call(city)
    assert sorted(fed ^ FED) == [], "a call is new, or gone: name it in FED"
    texts = {NAME, NUMBER, PHONE, ADDRESS, FIRST_PIN, NEXT_PIN, face.card_number, booth.blank.account}
    assert (face.name, face.social_security_number) == (NAME, NUMBER)
    tables, topic = await stored_by_issuance(owner), await published(city)
    logs = "\n".join([*capfd.readouterr(), caplog.text, city.keys.log.read_text(), *(one.log for one in city.processes)])
    assert "call_failed" not in logs
    names = "\n".join(file for _, folders, files in os.walk(tmp_path) for file in (*folders, *files))
    places = {"logs": logs, "metrics": metrics_of(city), "errors": "\n".join(said), "file names": names, **tables}
    there = {
        "logs": "card_issue_ended",
        "metrics": "onecard_issuance_barred_after_seconds",
        "errors": "BAD_REQUEST",
        "file names": "queue",
        "journal": "\\x",
        "record": KIT,
        "blank": booth.blank.serial,
        "countersignature": "UPDATE_CARD",
        "audit": "card.update",
    }
    for place, content in places.items():
        assert there.get(place, "") in content, f"nothing was looked at: {place}"
        assert not found_in(texts, content), place
        assert face.photo[200:232].hex() not in content, place
    assert {name for name, _ in topic} == {"issuance.events"}
    sent = b"".join(record for _, record in topic)
    assert booth.chip.identifier.hex().upper().encode() in sent  # as the registry names it
    assert not found_in_bytes(texts, sent)
    assert b"queue" not in kit_store
    assert not found_in_bytes(texts, kit_store)
    assert good_photo()[200:232] not in kit_store
    assert (spool / "asked").read_text().count("lp -d card") == 1
    assert not found_in(texts, (spool / "asked").read_text())
    assert [list((spool / kind).iterdir()) for kind in ("waiting", "ended", "sent")] == [[], [], []]
    document = pypdfium2.PdfDocument(pdf := made(face))
    metadata = str(document.get_metadata_dict())
    printed = pdf + "".join(page.get_textpage().get_text_range() for page in document).encode()
    document.close()
    assert face.card_number.encode() in printed  # what is there is found
    assert "Producer" in metadata
    assert not found_in(texts, metadata)
    await everything_is_clean(owner, texts)

    secrets = keys_of(city, [booth])
    heard = b"".join(HeardIssuance.heard)
    assert len(HeardIssuance.heard) > 60
    assert NAME.encode() in heard  # what is there is found
    for place, content_ in {
        **{name: text.encode() for name, text in places.items()},
        "streams": heard,
        "events": sent,
        "kit": kit_store,
        "print spool": (spool / "asked").read_bytes(),
        "printed faces": printed,
    }.items():
        assert not [secret for secret in secrets for form in forms(secret) if form in content_], place
    for text in (booth.blank.account, VAULT_PIN):
        assert text.encode() not in heard
    with pytest.raises(AssertionError):
        assert not found_in({booth.blank.serial}, tables["blank"])
