"""KitService: what a mobile kit queued without a network is opened here alone, and decided once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import approvals_pb2 as approvals
from onecard.card.v1 import kits_pb2 as messages
from onecard.card.v1 import window_pb2 as window_messages
from sdk.till.errors import NotAcceptedError
from sdk.window.kit import Kit, Uploaded, queue_application
from sdk.window.kit_queue import KitQueue
from sdk.window.sealed import SealedApplication, SealingKey, seal
from services.common.keyvault.vault import Purpose
from tests.integration.card.test_terminals import KIT, SECURITY, asking, enrolled, revoke
from tests.support.cardholders import Registry
from tests.support.hall import ISSUANCE, OTHER, SUPERVISOR, Hall, Window, request, status_of
from tests.support.photos import good_photo
from tests.support.waiting import until

A = TypeVar("A")
NOW_MS = 1_790_000_000_000


async def kit_of(hall: Hall, subject: str = KIT, role: int = 1) -> Window:
    return await hall.window(subject=subject, token=await hall.sign_in(role, subject))


async def key_of(kit: Window) -> SealingKey:
    told = await kit.ask("GetSealingKey", messages.GetSealingKeyRequest())
    return SealingKey(told.key_version, told.public_key, told.terminal)


def form(number: int, **other: Any) -> applications.SubmitRequest:
    return request(number, "", mode=applications.MODE_ON_SITE, **other)


def item_of(sealed: SealedApplication) -> messages.SealedItem:
    return messages.SealedItem(
        id=sealed.id,
        key_version=sealed.key_version,
        ephemeral_key=sealed.ephemeral_key,
        sealed=sealed.sealed,
        seal_time_ms=sealed.seal_time_ms,
    )


def sealed(key: SealingKey, id_: str, content: bytes) -> messages.SealedItem:
    return item_of(seal(key, id_, content, NOW_MS))


def applied(key: SealingKey, number: int, id_: str = "", **other: Any) -> messages.SealedItem:
    return sealed(key, id_ or f"q{number}", form(number, **{"photo": b"", **other}).SerializeToString())


async def hand_in(kit: Window, *items: messages.SealedItem) -> list[messages.SealedVerdict]:
    return list((await kit.ask("SubmitSealed", messages.SubmitSealedRequest(items=items))).verdicts)


async def test_each_item_has_its_own_verdict_and_a_repeat_hears_the_first(hall: Hall) -> None:
    kit = await kit_of(hall)
    key = await key_of(kit)
    assert key.terminal == KIT
    again = applied(key, 1, "q1-again")
    items = [
        applied(key, 1),
        applied(key, 2, person=applications.Person(name="王")),
        sealed(key, "q3", b"\xff"),
        again,
    ]
    verdicts = await hand_in(kit, *items)
    first, refused, unreadable, open_already = verdicts
    assert (first.id, first.application_id > 0, first.HasField("refusal")) == ("q1", True, False)
    assert (refused.refusal.reason, refused.masked_name) == ("DOCUMENT_NOT_ACCEPTED", "*")
    assert (unreadable.id, unreadable.unreadable, unreadable.application_id) == ("q3", True, 0)
    assert (open_already.refusal.reason, open_already.application_id) == ("APPLICATION_OPEN", first.application_id)
    assert open_already.phone == "138 1234 5678"
    assert await hand_in(kit, *items) == verdicts
    assert await hall.owner.fetchval("select count(*) from card.application") == 1
    mode, outlet = await hall.owner.fetchrow("select mode, outlet from card.application")  # type: ignore[misc]
    assert (mode, outlet) == (applications.MODE_ON_SITE, "440703-01")


async def test_what_was_sent_and_not_answered_is_queued_under_its_request_id_and_done_once(hall: Hall) -> None:
    kit = await kit_of(hall)
    submit = form(1)
    submit.request_id = "r1"
    answered = await kit.ask("Submit", submit)
    (verdict,) = await hand_in(kit, sealed(await key_of(kit), "r1", submit.SerializeToString()))
    assert (verdict.application_id, verdict.HasField("refusal")) == (answered.application.application_id, False)
    other = sealed(await key_of(kit), "r1", form(2).SerializeToString())
    assert (await hand_in(kit, other))[0].refusal.reason == "REQUEST_ID_USED"


async def test_nothing_is_opened_at_another_kit_nor_under_another_id_or_key(hall: Hall) -> None:
    kit, thief = await kit_of(hall), await kit_of(hall, OTHER)
    key = await key_of(kit)
    good = applied(key, 1)
    assert (await hand_in(thief, good))[0].unreadable
    for field, value in (("id", "q2"), ("key_version", 2), ("ephemeral_key", b"\4" + bytes(64)), ("sealed", b"short")):
        other = messages.SealedItem()
        other.CopyFrom(good)
        setattr(other, field, value)
        assert (await hand_in(kit, other))[0].unreadable, field
    assert await hall.owner.fetchval("select count(*) from card.application") == 0
    assert not (await hand_in(kit, good))[0].unreadable


async def test_what_was_sealed_to_an_older_key_is_opened_after_it_was_changed(hall: Hall, registry: Registry) -> None:
    kit = await kit_of(hall)
    old = await key_of(kit)
    version = registry.vault.add_version("kit", Purpose.AGREE)
    assert (await key_of(kit)).version == old.version  # until every process knows it
    registry.vault.activate("kit", version)
    new = await key_of(kit)
    assert new.version == old.version + 1
    verdicts = await hand_in(kit, applied(old, 1), applied(new, 2))
    assert [verdict.unreadable for verdict in verdicts] == [False, False]
    registry.vault.destroy_version("kit", old.version)
    assert (await hand_in(kit, applied(old, 3)))[0].unreadable


async def test_without_a_key_in_the_vault_it_is_said_so(hall: Hall, registry: Registry) -> None:
    kit = await kit_of(hall)
    registry.vault._take(tuple(key for key in registry.vault._keys if key.label != "kit"))
    failed = (grpc.StatusCode.FAILED_PRECONDITION, "NO_SEALING_KEY")
    assert await status_of(kit.ask("GetSealingKey", messages.GetSealingKeyRequest())) == failed


async def test_who_is_no_terminal_gets_no_key_and_who_is_not_signed_in_hands_nothing_in(hall: Hall) -> None:
    service, nobody = await hall.window(subject=ISSUANCE, token=""), await hall.window(subject=KIT, token="")
    assert (await status_of(service.ask("GetSealingKey", messages.GetSealingKeyRequest())))[1] == "TERMINAL_NEEDED"
    key = await key_of(nobody)  # the key is for everybody at a terminal
    for method, asked in (
        ("SubmitSealed", messages.SubmitSealedRequest(items=[applied(key, 1)])),
        ("ReportQueue", messages.ReportQueueRequest()),
        ("ListLostQueues", messages.ListLostQueuesRequest()),
        ("ClearLostQueue", messages.ClearLostQueueRequest(request_id="c", queue_id=1)),
    ):
        assert (await status_of(nobody.ask(method, asked)))[1] == "SIGN_IN_NEEDED"
    kit = await kit_of(hall)
    for wrong in (messages.SubmitSealedRequest(), messages.SubmitSealedRequest(items=[messages.SealedItem()])):
        assert (await status_of(kit.ask("SubmitSealed", wrong)))[1] == "BAD_REQUEST"
    for report in (
        messages.ReportQueueRequest(count=1, ids=["a", "b"]),
        messages.ReportQueueRequest(count=-1),
        messages.ReportQueueRequest(count=1, ids=["with space"]),
    ):
        assert (await status_of(kit.ask("ReportQueue", report)))[1] == "BAD_REQUEST"


async def test_a_lost_kit_leaves_its_queue_on_the_work_list_until_its_applicants_were_asked_again(
    hall: Hall, tmp_path: Path
) -> None:
    held, _, security = await enrolled(hall, tmp_path)
    kit, clerk = await kit_of(hall), await hall.window()
    for ids in (["a"], ["a", "b"]):
        await kit.ask("ReportQueue", messages.ReportQueueRequest(count=len(ids), ids=ids))
    kinds = window_messages.ListWorkRequest(kind=window_messages.WORK_KIND_KIT_QUEUE)
    assert not (await clerk.ask("ListWork", kinds)).items
    await revoke(security, subject=KIT)
    (item,) = (await clerk.ask("ListWork", kinds)).items
    assert (item.kind, item.application_id, item.holder_id) == (window_messages.WORK_KIND_KIT_QUEUE, 0, 0)
    (lost,) = (await clerk.ask("ListLostQueues", messages.ListLostQueuesRequest())).queues
    assert (lost.terminal, lost.count, list(lost.ids)) == (KIT, 2, ["a", "b"])
    assert lost.staff_id == await hall.owner.fetchval("select staff from card.shift where terminal = $1", KIT)
    refused = await status_of(kit.ask("ReportQueue", messages.ReportQueueRequest()))
    assert refused[0] is grpc.StatusCode.UNAUTHENTICATED
    clear = messages.ClearLostQueueRequest(request_id="c1", queue_id=lost.queue_id)
    assert [(await clerk.ask("ClearLostQueue", clear)).cleared for _ in range(2)] == [2, 2]
    clear.request_id = "c2"
    assert (await clerk.ask("ClearLostQueue", clear)).cleared == 0
    assert not (await clerk.ask("ListWork", kinds)).items
    assert await hall.owner.fetchval("select count(*) from card.audit where act = 'kit.clear_queue'") == 1
    assert held.certificate.exists()


async def test_a_kit_whose_queue_was_empty_or_elsewhere_is_on_no_work_list(hall: Hall, tmp_path: Path) -> None:
    _, _, security = await enrolled(hall, tmp_path)
    kit = await kit_of(hall)
    await kit.ask("ReportQueue", messages.ReportQueueRequest(count=1, ids=["a"]))
    await kit.ask("ReportQueue", messages.ReportQueueRequest())
    await revoke(security, subject=KIT)
    assert await hall.owner.fetchval("select count(*) from card.kit_queue where lost_time is not null") == 0


async def test_a_terminal_whose_certificate_was_issued_elsewhere_is_lost_by_its_name_once_somebody_worked_there(
    hall: Hall,
) -> None:
    kit, security = await kit_of(hall), await hall.window(SECURITY)
    (serial,) = await hall.owner.fetchrow("select serial from card.shift where terminal = $1", KIT)  # type: ignore[misc]
    await kit.ask("ReportQueue", messages.ReportQueueRequest(count=3))
    assert await revoke(security, subject=KIT) == (serial,)
    assert await hall.owner.fetchval("select count(*) from card.kit_queue where lost_time is not null") == 1
    unknown = status_of(revoke(security, subject=OTHER))
    assert await unknown == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TERMINAL")


async def in_thread(hall: Hall, folder: Path, work: Callable[[Kit, KitQueue], A]) -> A:
    """As a kit's own program does it, whose methods block."""
    held, _, _ = await enrolled(hall, folder)
    serial = await hall.owner.fetchval("select serial from card.terminal where subject = $1", KIT)
    token = await hall.sign_in(SUPERVISOR, KIT)
    await hall.owner.execute("update card.shift set serial = $1 where terminal = $2", serial, KIT)

    def run() -> A:
        with KitQueue(folder / "queue") as queue, Kit(asking(hall, held).line, token=token) as kit:
            return work(kit, queue)

    return await asyncio.to_thread(run)


async def test_a_kit_queues_and_hands_in_and_takes_out_what_has_a_verdict(hall: Hall, tmp_path: Path) -> None:
    def work(kit: Kit, queue: KitQueue) -> list[Uploaded]:
        kit.touch(queue)
        waiting = [queue_application(queue, form(number)).waiting for number in (1, 2, 1)]
        assert waiting == [1, 2, 3]
        kit.report(queue)
        uploaded = list(kit.upload(queue))
        assert (queue.count(), list(kit.upload(queue))) == (0, [])
        assert {verdict.id for verdict in queue.verdicts()} == {one.verdict.id for one in uploaded}
        return uploaded

    uploaded = await in_thread(hall, tmp_path, work)
    assert [one.verdict.reason for one in uploaded] == ["", "", "APPLICATION_OPEN"]
    assert (uploaded[2].masked_name, uploaded[2].phone) == ("*" + chr(0x4E01), "138 1234 5678")
    waits = await hall.owner.fetchrow("select count, cardinality(ids) from card.kit_queue")
    assert waits is not None
    assert tuple(waits) == (0, 0)


async def test_what_waits_for_a_second_person_stays_in_the_queue_and_goes_through_afterwards(
    hall: Hall, registry: Registry, tmp_path: Path
) -> None:
    await registry.first_card(1)
    waived = {"kind": applications.APPLICATION_KIND_REPLACE, "fee_source": applications.FEE_SOURCE_WAIVED}
    other = await hall.window(SUPERVISOR, subject=OTHER, token=await hall.sign_in(SUPERVISOR, OTHER))
    loop = asyncio.get_running_loop()

    def work(kit: Kit, queue: KitQueue) -> None:
        kit.touch(queue)
        queue_application(queue, form(1, **waived))
        (waits,) = kit.upload(queue)
        assert (waits.waits, queue.count(), queue.verdicts()) == (True, 1, [])
        assert waits.refusal is not None
        yes = approvals.DecideApprovalRequest(approval_id=waits.refusal.approval_id, approve=True)
        asyncio.run_coroutine_threadsafe(other.ask("DecideApproval", yes), loop).result()
        (done,) = kit.upload(queue)
        assert (done.waits, done.verdict.reason, queue.count()) == (False, "", 0)

    await in_thread(hall, tmp_path, work)


async def test_photos_as_large_as_a_message_can_carry_go_one_by_one(hall: Hall, tmp_path: Path) -> None:
    photo = good_photo()

    def work(kit: Kit, queue: KitQueue) -> int:
        kit.touch(queue)
        for number in range(1, 8):
            queue_application(queue, form(number, photo=photo))
        with pytest.raises(NotAcceptedError) as refused:
            queue_application(queue, form(9, photo=bytes(70_000)))
        assert refused.value.reason == "TOO_LARGE"
        return sum(1 for one in kit.upload(queue) if not one.verdict.reason)

    assert await in_thread(hall, tmp_path, work) == 7


async def test_a_whole_kit_that_is_revoked_is_refused_within_seconds(hall: Hall, tmp_path: Path) -> None:
    _, _, security = await enrolled(hall, tmp_path)
    kit = await kit_of(hall)
    await revoke(security, subject=KIT)
    refused = list[grpc.StatusCode]()

    async def turned_away() -> bool:
        try:
            await kit.ask("GetSealingKey", messages.GetSealingKeyRequest())
        except grpc.aio.AioRpcError as error:
            refused.append(error.code())
        return bool(refused)

    await until("a revoked kit is refused", turned_away)
    assert refused == [grpc.StatusCode.UNAUTHENTICATED]
