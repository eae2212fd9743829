"""The accounts of the staff: who may change them, how, and what becomes of an open shift."""

import asyncio
from typing import Any

import grpc

from onecard.card.v1 import staff_pb2 as messages
from services.card.domain.actor import Role
from services.card.domain.staff import StaffState
from tests.integration.card.test_api_staff import sign_in
from tests.support.hall import CLERK, OTHER, Hall, Window, request, status_of

SECURITY = int(Role.SECURITY_ADMINISTRATOR)
DENIED = (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")
ENDED = (grpc.StatusCode.UNAUTHENTICATED, "SHIFT_ENDED")
VERBS = ("SuspendStaff", "ResumeStaff", "UnlockStaff", "RecordLeaving", "ChangeStaff")


async def change(window: Window, verb: str, staff: int, request_id: str = "", **other: Any) -> Any:
    asked = getattr(messages, f"{verb}Request")(request_id=request_id or f"{verb}-{staff}", staff_id=staff, **other)
    return await window.ask(verb, asked)


async def members(window: Window) -> dict[int, messages.StaffMember]:
    answer = await window.ask("ListStaff", messages.ListStaffRequest())
    return {member.staff_id: member for member in answer.staff}


async def everybody(hall: Hall) -> tuple[Window, Window, int]:
    """A security administrator, and a clerk who is at work."""
    office = await hall.window(subject=OTHER, token=await hall.sign_in(SECURITY, OTHER))
    window = await hall.window(CLERK)
    clerk = next(m.staff_id for m in (await members(office)).values() if list(m.roles) == [messages.ROLE_CLERK])
    return office, window, clerk


async def test_who_is_suspended_in_a_shift_does_nothing_more_within_seconds(hall: Hall) -> None:
    office, window, clerk = await everybody(hall)
    assert (await window.ask("Submit", request(1))).HasField("application")
    assert (await members(office))[clerk].at_terminal == "onecard://merchant/CITY-HALL/terminal/WINDOW-1"
    answer = await change(office, "SuspendStaff", clerk)
    assert (answer.staff.state, answer.staff.at_terminal) == (messages.STAFF_STATE_SUSPENDED, "")
    async with asyncio.timeout(3):
        while True:
            try:
                await window.ask("Submit", request(2, "r2"))
            except grpc.aio.AioRpcError:
                break
    assert await status_of(window.ask("Submit", request(3, "r3"))) == ENDED
    repeated = await change(office, "SuspendStaff", clerk)
    assert not repeated.HasField("refusal")  # the same request hears the same answer
    assert (await change(office, "SuspendStaff", clerk, "again-1")).refusal.reason == "ALREADY_SUSPENDED"
    assert not (await change(office, "ResumeStaff", clerk)).HasField("refusal")
    assert (await change(office, "ResumeStaff", clerk, "again-2")).refusal.reason == "NOT_SUSPENDED"
    assert await status_of(window.ask("Submit", request(3, "r3"))) == ENDED  # the shift is over; the person signs in again
    acts = [row[0] for row in await hall.owner.fetch("select act from card.audit where act like 'staff.%' order by id")]
    assert acts == ["staff.suspend", "staff.resume"]


async def test_nobody_changes_their_own_account(hall: Hall) -> None:
    office, _, clerk = await everybody(hall)
    me = next(number for number in await members(office) if number != clerk)
    for verb in VERBS:
        other: dict[str, Any] = {"roles": [messages.ROLE_CLERK]} if verb == "ChangeStaff" else {}
        assert (await change(office, verb, me, **other)).refusal.reason == "OWN_ACCOUNT"
    reset = await office.ask("ResetStaff", messages.ResetStaffRequest(staff_id=me))
    assert (reset.refusal.reason, reset.password) == ("OWN_ACCOUNT", "")


async def test_two_administrators_who_suspend_each_other_leave_one_at_work(hall: Hall) -> None:
    one = await hall.window(subject=OTHER, token=await hall.sign_in(SECURITY, OTHER))
    two = await hall.window(token=await hall.sign_in(SECURITY))
    first, second = sorted(await members(one))
    await asyncio.gather(change(one, "SuspendStaff", second), change(two, "SuspendStaff", first), return_exceptions=True)
    states = [row[0] for row in await hall.owner.fetch("select state from card.staff")]
    assert sorted(states) == [StaffState.ACTIVE, StaffState.SUSPENDED]


async def test_other_roles_count_at_once_and_two_administrations_never_meet(hall: Hall) -> None:
    office, _, clerk = await everybody(hall)
    both = [messages.ROLE_AUDITOR, messages.ROLE_SECURITY_ADMINISTRATOR]
    wrong = (grpc.StatusCode.INVALID_ARGUMENT, "ROLES_NOT_SEPARATE")
    assert await status_of(change(office, "ChangeStaff", clerk, roles=both)) == wrong
    assert await status_of(change(office, "ChangeStaff", clerk)) == wrong
    changed = await change(office, "ChangeStaff", clerk, "c2", roles=[messages.ROLE_HOTLINE], outlet="440704-01")
    assert (list(changed.staff.roles), changed.staff.outlet) == ([messages.ROLE_HOTLINE], "440704-01")
    ended = await hall.owner.fetchval("select ended_by from card.shift where staff = $1", clerk)
    assert ended == 5


async def test_who_has_left_never_comes_back(hall: Hall) -> None:
    office, _, clerk = await everybody(hall)
    assert (await change(office, "RecordLeaving", clerk)).staff.state == messages.STAFF_STATE_LEFT
    for verb in VERBS:
        other: dict[str, Any] = {"roles": [messages.ROLE_CLERK]} if verb == "ChangeStaff" else {}
        assert (await change(office, verb, clerk, f"{verb}-again", **other)).refusal.reason == "STAFF_LEFT"
    assert (await office.ask("ResetStaff", messages.ResetStaffRequest(staff_id=clerk))).refusal.reason == "STAFF_LEFT"
    nobody = (grpc.StatusCode.NOT_FOUND, "UNKNOWN_STAFF")
    assert await status_of(change(office, "SuspendStaff", 999)) == nobody
    assert await status_of(office.ask("ResetStaff", messages.ResetStaffRequest(staff_id=999))) == nobody


async def test_who_lost_the_second_factor_gets_other_secrets_and_the_first_ones_are_worth_nothing(hall: Hall) -> None:
    office, _, _ = await everybody(hall)
    window = await hall.window(token="")
    made = await office.ask("CreateStaff", messages.CreateStaffRequest(login="k001", roles=[messages.ROLE_CLERK]))
    first = await sign_in(window, "k001", made)
    reset = await office.ask("ResetStaff", messages.ResetStaffRequest(staff_id=first.staff_id))
    window.token = first.token
    assert await status_of(window.ask("SignOut", messages.SignOutRequest())) == ENDED
    window.token = ""
    refused = (grpc.StatusCode.UNAUTHENTICATED, "SIGN_IN_REFUSED")
    assert await status_of(sign_in(window, "k001", made)) == refused
    again = await sign_in(window, "k001", reset)
    assert again.staff_id == first.staff_id


async def test_tries_are_given_back_after_too_many_wrong_passwords(hall: Hall) -> None:
    office, _, clerk = await everybody(hall)
    await hall.owner.execute("update card.staff set failures = 6 where id = $1", clerk)
    assert (await members(office))[clerk].locked
    assert not (await change(office, "UnlockStaff", clerk)).staff.locked


async def test_nobody_else_manages_the_staff(hall: Hall) -> None:
    for role in set(Role) - {Role.SECURITY_ADMINISTRATOR}:
        window = await hall.window(role)
        for verb in VERBS:
            assert await status_of(change(window, verb, 1)) == DENIED
        for method in ("ListStaff", "CreateStaff", "ResetStaff"):
            assert await status_of(window.ask(method, getattr(messages, f"{method}Request")())) == DENIED


def test_numbers_of_states_agree() -> None:
    assert {f"STAFF_STATE_{s.name}": s.value for s in StaffState} | {"STAFF_STATE_UNSPECIFIED": 0} == dict(
        messages.StaffState.items()
    )
