"""What keepers and clerks ask about blanks: each write twice, whole or not at all, and nobody signs their own."""

from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest

from onecard.issuance.v1 import blanks_pb2 as messages
from services.common.keyvault.software import open_token
from services.issuance.adapters.blanks import BY_ITSELF, move
from services.issuance.adapters.boxes import Accounts
from services.issuance.adapters.entries import unsound
from services.issuance.domain.actor import Role
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.rights import RIGHTS, Right
from tests.support.blank_desk import BlankDesk, Person
from tests.support.blanks import BY_CLERK, BY_KEEPER, FENCE, KIT, OTHER, WINDOW, add_blanks, add_box, delivery, identifier
from tests.support.edge import reason_of

Driver: TypeAlias = "asyncpg.Connection[Any]"


def span(serials: list[str]) -> messages.SerialRange:
    return messages.SerialRange(first=serials[0], last=serials[-1])


async def state_of(person: Person, serial: str) -> tuple[BlankState, str]:
    blank = (await person.ask("GetBlank", messages.GetBlankRequest(serial=serial))).blank
    return BlankState(blank.state), blank.place


async def sign(desk: BlankDesk, number: int, staff: int = 4) -> None:
    supervisor = desk.supervisor(staff)
    waiting = (await supervisor.ask("ListCountersignatures", messages.ListCountersignaturesRequest())).waiting
    assert number in [one.countersignature_id for one in waiting]
    decision = messages.DecideCountersignatureRequest(countersignature_id=number, sign=True)
    assert not (await supervisor.ask("DecideCountersignature", decision)).HasField("refusal")


async def by_two(desk: BlankDesk, person: Person, method: str, request: Any) -> Any:
    """Asked, countersigned by a supervisor, and asked again; then once more, as after a lost answer."""
    first = (await person.ask(method, request)).moved
    assert (first.refusal.reason, first.count) == ("SECOND_PERSON_NEEDED", 0)
    again = (await person.ask(method, request)).moved
    assert (again.refusal.reason, again.countersignature_id) == ("COUNTERSIGNATURE_AWAITED", first.countersignature_id)
    await sign(desk, first.countersignature_id)
    done = await person.twice(method, request)
    assert not done.moved.HasField("refusal"), done
    return done


async def test_a_box_is_received_assigned_and_returned(desk: BlankDesk, driver: Driver) -> None:
    keeper, clerk = desk.keeper(), desk.clerk()
    received = await keeper.deliver(delivery("BX1", range(1, 41)), "D1")
    assert (received.moved.count, received.box, list(received.faults)) == (40, "BX1", [])
    assert await keeper.deliver(delivery("BX1", range(1, 41)), "D1") == received

    some = messages.SerialRange(first="BX1-00001", last="BX1-00010")
    assert (await keeper.twice("AssignBlanks", messages.AssignBlanksRequest(range=some, place=WINDOW))).moved.count == 10
    assert await state_of(clerk, "BX1-00010") == (BlankState.ASSIGNED, WINDOW)
    assert await state_of(clerk, "BX1-00011") == (BlankState.BOXED, "DEPOT")
    listed = await clerk.ask("ListBlanks", messages.ListBlanksRequest(page_size=6))
    assert (len(listed.blanks), bool(listed.next_page_token)) == (6, True)

    assert (await keeper.twice("ReturnBlanks", messages.ReturnBlanksRequest(range=some))).moved.count == 10
    assert await state_of(clerk, "BX1-00010") == (BlankState.RETURNED_UNUSED, "DEPOT")
    stock = (await keeper.ask("CountStock", messages.CountStockRequest(place="DEPOT"))).stock
    assert {(BlankState(one.state), one.count) for one in stock} == {(BlankState.BOXED, 30), (BlankState.RETURNED_UNUSED, 10)}
    assert await unsound(driver) == []


async def test_a_delivery_is_refused_with_all_that_is_wrong_with_it(desk: BlankDesk, driver: Driver) -> None:
    keeper = desk.keeper()
    await keeper.deliver(delivery("BX1", range(1, 3)))
    lines = [
        "BX2|ssc3|TEST|9",
        f"BX2-1|{identifier(11)}|",
        f"BX1-00001|{identifier(12)}|",
        f"BX2-3|{identifier(2)}|",
        f"BX2-1|{identifier(14)}|",
        f"BX2-5|{identifier(11)}|",
        f"BX2-6|{identifier(16)[:-1]}F|",
        f"BX2-7|999900{identifier(17)[6:]}|",
        "BX2-8|nonsense",
    ]
    refused = await keeper.deliver("\n".join(lines).encode())
    assert refused.moved.refusal.reason == "DELIVERY_NOT_ACCEPTED"
    assert [(fault.line, fault.reason) for fault in refused.faults] == [
        (1, "COUNT_DIFFERS"),
        (3, "SERIAL_KNOWN"),
        (4, "IDENTIFIER_KNOWN"),
        (5, "SERIAL_REPEATED"),
        (6, "IDENTIFIER_REPEATED"),
        (7, "IDENTIFIER_NOT_GENUINE"),
        (8, "IDENTIFIER_FOREIGN"),
        (9, "LINE_WRONG"),
    ]
    assert all(fault.message.startswith(f"第 {fault.line} 行：") for fault in refused.faults)
    assert await driver.fetchval("select count(*) from issuance.blank") == 2
    for content, why in (
        (b"\xff\xfe", "NOT_TEXT"),
        (b"BX2|ssc3|TEST", "HEADER_WRONG"),
        (delivery("BX2", range(5, 6), product="other"), "PRODUCT_UNKNOWN"),
        (delivery("BX1", range(50, 51)), "BOX_KNOWN"),
    ):
        assert [fault.reason for fault in (await keeper.deliver(content)).faults] == [why]


async def test_a_bank_account_is_sealed_and_forgotten_with_the_hand_over(
    desk: BlankDesk, driver: Driver, tmp_path: Any
) -> None:
    await desk.keeper().deliver(delivery("BX1", range(1, 3)))
    account = "6228480700000001"
    assert account.encode() not in await driver.fetchval("select sealed from issuance.blank_account where serial = 'BX1-00001'")
    accounts = Accounts(open_token(tmp_path / "issuance.vault", "pin of a test"))
    assert await accounts.find_all(driver, ["BX1-00001", "BX1-00002"]) == {"BX1-00001": account}

    one = messages.SerialRange(first="BX1-00001", last="BX1-00001")
    await desk.keeper().twice("AssignBlanks", messages.AssignBlanksRequest(range=one, place=WINDOW))
    await move(driver, "BX1-00001", Verb.RESERVE, BY_CLERK, FENCE, application=1)
    for verb in (Verb.BEGIN, Verb.VERIFY, Verb.PRINT, Verb.HAND_OVER):
        await move(driver, "BX1-00001", verb, BY_CLERK, FENCE)
    assert await accounts.find_all(driver, ["BX1-00001"]) == {}


async def test_a_second_person_reads_every_serial_and_signs_no_other_one(desk: BlankDesk, driver: Driver) -> None:
    serials = await add_blanks(driver, 600)
    left = serials.pop(300)
    clerk = desk.clerk()
    missing = messages.ReportMissingRequest(request_id="M1", serials=serials, incident="I-7")
    waits = (await clerk.ask("ReportMissing", missing)).moved
    (asked,) = (await desk.supervisor().ask("ListCountersignatures", messages.ListCountersignaturesRequest())).waiting
    told = f"{serials[0]}–{serials[299]} (300), {serials[300]}–{serials[-1]} (299)"
    assert dict(asked.detail) == {"count": "599", "first": serials[0], "last": serials[-1], "serials": told, "incident": "I-7"}
    await sign(desk, waits.countersignature_id)
    assert (await clerk.twice("ReportMissing", missing)).moved.count == 599
    assert await state_of(clerk, left) == (BlankState.ASSIGNED, WINDOW)


async def test_a_range_that_holds_other_blanks_than_were_signed_is_asked_about_anew(desk: BlankDesk, driver: Driver) -> None:
    async def spoiled(size: int) -> list[str]:
        serials = await add_blanks(driver, size)
        for serial in serials:
            await move(driver, serial, Verb.SPOIL, BY_KEEPER, reason="bent")
        return serials

    first, *_ = await spoiled(3)
    keeper = desk.keeper()
    request = messages.ReturnBlanksRequest(request_id="R1", range=messages.SerialRange(first=first, last="B9999999999"))
    await sign(desk, (await keeper.ask("ReturnBlanks", request)).moved.countersignature_id)
    await spoiled(1)
    again = (await keeper.ask("ReturnBlanks", request)).moved
    assert (again.refusal.reason, again.count) == ("SECOND_PERSON_NEEDED", 0)
    await sign(desk, again.countersignature_id)
    assert (await keeper.twice("ReturnBlanks", request)).moved.count == 4


async def test_a_range_moves_as_a_whole_or_not_at_all(desk: BlankDesk, driver: Driver) -> None:
    serials = await add_box(driver, 6)
    keeper = desk.keeper()
    await keeper.twice("AssignBlanks", messages.AssignBlanksRequest(range=span(serials[2:4]), place=WINDOW))
    refused = (await keeper.twice("AssignBlanks", messages.AssignBlanksRequest(range=span(serials), place=OTHER))).moved
    assert (refused.refusal.reason, refused.count, list(refused.serials)) == ("BLANK_NOT_BEGUN", 0, serials[2:4])
    assert await state_of(keeper, serials[0]) == (BlankState.BOXED, "DEPOT")
    nobody = messages.SerialRange(first="ZZ1", last="ZZ9")
    nothing = (await keeper.twice("AssignBlanks", messages.AssignBlanksRequest(range=nobody, place=OTHER))).moved
    assert nothing.refusal.reason == "UNKNOWN_BLANK"


async def test_a_transfer_is_confirmed_by_the_other_end_alone(desk: BlankDesk, driver: Driver) -> None:
    serials = await add_blanks(driver, 3)
    here, there, elsewhere = desk.clerk(), desk.clerk(6, OTHER), desk.clerk(7, OTHER.replace("2", "3"))
    away = messages.TransferBlanksRequest(range=span(serials), destination=OTHER)
    assert (await elsewhere.twice("TransferBlanks", away)).moved.refusal.reason == "BLANK_ELSEWHERE"
    assert (await here.twice("TransferBlanks", away)).moved.count == 3
    assert await state_of(here, serials[0]) == (BlankState.IN_TRANSFER, "TRANSIT")
    confirm = messages.ConfirmTransferRequest(range=span(serials))
    assert (await here.twice("ConfirmTransfer", confirm)).moved.refusal.reason == "BLANK_ELSEWHERE"
    assert (await there.twice("ConfirmTransfer", messages.ConfirmTransferRequest(range=span(serials)))).moved.count == 3
    assert await state_of(here, serials[0]) == (BlankState.ASSIGNED, OTHER)

    depot = messages.TransferBlanksRequest(range=span(serials), destination="DEPOT")
    assert (await there.twice("TransferBlanks", depot)).moved.count == 3
    assert (await desk.keeper().twice("ConfirmTransfer", messages.ConfirmTransferRequest(range=span(serials)))).moved.count == 3
    assert await state_of(here, serials[0]) == (BlankState.RETURNED_UNUSED, "DEPOT")


async def test_a_blank_is_spoiled_returned_and_destroyed_by_two_people_each(desk: BlankDesk, driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    clerk, keeper = desk.clerk(), desk.keeper()
    await by_two(desk, clerk, "SpoilBlank", messages.SpoilBlankRequest(request_id="S1", serial=serial, reason="bent"))
    one = messages.SerialRange(first=serial, last=serial)
    assert (await keeper.twice("ReturnBlanks", messages.ReturnBlanksRequest(range=one))).moved.count == 1
    await by_two(desk, keeper, "DestroyBlanks", messages.DestroyBlanksRequest(request_id="X1", serials=[serial]))
    entries = (await clerk.ask("GetBlank", messages.GetBlankRequest(serial=serial))).entries
    last = [(entry.what, entry.staff_id, entry.second_staff_id) for entry in entries][-3:]
    assert last == [("SPOIL", 3, 4), ("RETURN", 5, 0), ("DESTROY", 5, 4)]


async def test_who_alone_called_a_blank_spoiled_does_not_take_it_back_alone(desk: BlankDesk, driver: Driver) -> None:
    """As personalisation does: spoiled at once, with the clerk."""
    (serial,) = await add_blanks(driver, 1)
    await move(driver, serial, Verb.SPOIL, BY_CLERK, reason="KEY_REFUSED")
    one = messages.SerialRange(first=serial, last=serial)
    same_person = desk.person(BY_CLERK.staff, Role.BLANK_KEEPER)
    await by_two(desk, same_person, "ReturnBlanks", messages.ReturnBlanksRequest(request_id="B1", range=one))
    assert await state_of(desk.keeper(), serial) == (BlankState.RETURNED, "DEPOT")


async def test_what_is_missing_is_barred_and_found_again_it_goes_back(desk: BlankDesk, driver: Driver) -> None:
    serials = await add_blanks(driver, 2)
    clerk = desk.clerk()
    missing = messages.ReportMissingRequest(request_id="M1", serials=serials, incident="I-7")
    assert (await by_two(desk, clerk, "ReportMissing", missing)).moved.count == 2
    blank = (await clerk.ask("GetBlank", messages.GetBlankRequest(serial=serials[0]))).blank
    assert (blank.state, blank.place, blank.barred) == (messages.BLANK_STATE_MISSING, "MISSING", True)
    found = messages.ReportFoundRequest(request_id="F1", serials=serials, incident="I-7")
    await by_two(desk, clerk, "ReportFound", found)
    assert await state_of(clerk, serials[0]) == (BlankState.RETURNED, "DEPOT")


async def test_nobody_countersigns_their_own_and_a_rejection_is_final(desk: BlankDesk, driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    both = desk.person(9, Role.CLERK, Role.SUPERVISOR)
    request = messages.SpoilBlankRequest(request_id="S1", serial=serial, reason="bent")
    number = (await both.ask("SpoilBlank", request)).moved.countersignature_id
    own = await both.ask(
        "DecideCountersignature", messages.DecideCountersignatureRequest(countersignature_id=number, sign=True)
    )
    assert own.refusal.reason == "OWN_REQUEST"
    no = messages.DecideCountersignatureRequest(countersignature_id=number, sign=False, reason="it is fine")
    assert not (await desk.supervisor().ask("DecideCountersignature", no)).HasField("refusal")
    assert (await desk.supervisor().ask("DecideCountersignature", no)).refusal.reason == "COUNTERSIGNATURE_DECIDED"
    assert (await both.ask("SpoilBlank", request)).moved.refusal.reason == "COUNTERSIGNATURE_REJECTED"
    assert await state_of(both, serial) == (BlankState.ASSIGNED, WINDOW)


async def test_a_signature_is_for_one_exact_request_of_one_shift(desk: BlankDesk, driver: Driver) -> None:
    first, second = await add_blanks(driver, 2)
    clerk = desk.clerk()
    request = messages.SpoilBlankRequest(request_id="S1", serial=first, reason="bent")
    number = (await clerk.ask("SpoilBlank", request)).moved.countersignature_id
    await sign(desk, number)
    other = messages.SpoilBlankRequest(request_id="S1", serial=second, reason="bent")
    assert (await clerk.ask("SpoilBlank", other)).moved.refusal.reason == "SECOND_PERSON_NEEDED"
    later = desk.clerk()  # the same person, signed in anew
    assert (await later.ask("SpoilBlank", request)).moved.refusal.reason == "SECOND_PERSON_NEEDED"


async def test_what_lay_at_a_lost_kit_is_brought_back_by_a_keeper_and_destroyed(
    desk: BlankDesk, driver: Driver
) -> None:  # fmt: skip
    (serial,) = await add_blanks(driver, 1, KIT)
    await move(driver, serial, Verb.BAR, BY_ITSELF)
    keeper, one = desk.keeper(), messages.SerialRange(first=serial, last=serial)
    barred = (await keeper.twice("ReturnBlanks", messages.ReturnBlanksRequest(range=one))).moved
    assert barred.refusal.reason == "BLANK_BARRED"
    request = messages.SpoilBlankRequest(request_id="S1", serial=serial, reason="kit was lost")
    assert (await desk.clerk().ask("SpoilBlank", request)).moved.refusal.reason == "BLANK_ELSEWHERE"
    request.request_id = "S2"
    await by_two(desk, keeper, "SpoilBlank", request)
    assert (await keeper.twice("ReturnBlanks", messages.ReturnBlanksRequest(range=one))).moved.count == 1
    await by_two(desk, keeper, "DestroyBlanks", messages.DestroyBlanksRequest(request_id="X1", serials=[serial]))


async def test_what_is_being_made_is_spoiled_by_two_at_its_own_window(desk: BlankDesk, driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    await move(driver, serial, Verb.RESERVE, BY_CLERK, FENCE, application=1)
    request = messages.SpoilBlankRequest(request_id="S", serial=serial, reason="chip is dead")
    assert (await by_two(desk, desk.clerk(), "SpoilBlank", request)).moved.count == 1
    assert await state_of(desk.keeper(), serial) == (BlankState.SPOILED, WINDOW)
    (elsewhere,) = await add_blanks(driver, 1, OTHER)
    request = messages.SpoilBlankRequest(request_id="E", serial=elsewhere, reason="chip is dead")
    assert (await desk.clerk().ask("SpoilBlank", request)).moved.refusal.reason == "BLANK_ELSEWHERE"


ASKED: dict[str, tuple[Right, Any]] = {
    "AssignBlanks": (
        Right.ASSIGN_BLANKS,
        messages.AssignBlanksRequest(range=messages.SerialRange(first="Z1", last="Z1"), place=WINDOW),
    ),
    "TransferBlanks": (
        Right.TRANSFER_BLANKS,
        messages.TransferBlanksRequest(range=messages.SerialRange(first="Z1", last="Z1"), destination=OTHER),
    ),
    "ConfirmTransfer": (
        Right.TRANSFER_BLANKS,
        messages.ConfirmTransferRequest(range=messages.SerialRange(first="Z1", last="Z1")),
    ),
    "SpoilBlank": (Right.SPOIL_BLANK, messages.SpoilBlankRequest(serial="Z1", reason="bent")),
    "ReturnBlanks": (
        Right.RECEIVE_BLANKS,
        messages.ReturnBlanksRequest(range=messages.SerialRange(first="Z1", last="Z1")),
    ),
    "DestroyBlanks": (Right.DESTROY_BLANKS, messages.DestroyBlanksRequest(serials=["Z1"])),
    "ReportMissing": (Right.REPORT_MISSING, messages.ReportMissingRequest(serials=["Z1"], incident="I")),
    "ReportFound": (Right.REPORT_MISSING, messages.ReportFoundRequest(serials=["Z1"], incident="I")),
    "CountStock": (Right.SEE_BLANKS, messages.CountStockRequest()),
    "ListBlanks": (Right.SEE_BLANKS, messages.ListBlanksRequest()),
    "GetBlank": (Right.SEE_BLANKS, messages.GetBlankRequest(serial="Z1")),
    "ListCountersignatures": (Right.COUNTERSIGN, messages.ListCountersignaturesRequest()),
    "DecideCountersignature": (Right.COUNTERSIGN, messages.DecideCountersignatureRequest(countersignature_id=1, sign=True)),
    "CountShift": (Right.CLOSE_SHIFT, messages.CountShiftRequest()),
    "CloseShift": (Right.CLOSE_SHIFT, messages.CloseShiftRequest(shift_count_id=1)),
}


async def test_each_call_is_for_those_who_hold_its_right_and_for_nobody_else(desk: BlankDesk) -> None:
    services = (messages.DESCRIPTOR.services_by_name[name] for name in ("BlankService", "CountersignService", "ShiftService"))
    assert {method.name for service in services for method in service.methods} == {*ASKED, "ReceiveDelivery"}
    for role in Role:
        person = desk.person(20 + role, role)
        for method, (right, request) in ASKED.items():
            if hasattr(request, "request_id"):
                request.request_id = f"{method}-{role.name}"
            try:
                await person.ask(method, request)
                refused = False
            except grpc.aio.AioRpcError as error:
                refused = reason_of(error) == "NOT_YOUR_RIGHT"
            assert refused is (role not in RIGHTS[right]), (method, role)
        if role is not Role.BLANK_KEEPER:
            with pytest.raises(grpc.aio.AioRpcError, match="岗位"):
                await person.deliver(delivery("BX1", range(1, 2)))
