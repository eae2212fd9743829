"""A window at which an administrator is signed in: people of the staff, and terminals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from onecard.card.v1 import staff_pb2 as staff
from onecard.card.v1 import terminals_pb2 as terminals
from onecard.card.v1.terminals_pb2_grpc import TerminalServiceStub
from sdk.window.answers import StaffAnswer, TerminalAnswer
from sdk.window.window import Window


class Administration(Window):
    """What a security administrator asks, beside what every window does. It answers and raises as a window does."""

    def create_staff(self, login: str, outlet: str, roles: Iterable[str]) -> staff.CreateStaffResponse:
        """Make an account. What its owner needs is in the answer, once; so it is asked once."""
        request = staff.CreateStaffRequest(login=login, outlet=outlet, roles=_roles(roles))
        answer: staff.CreateStaffResponse = self._asking.ask_once(self._staff.CreateStaff, request)
        return answer

    def list_staff(self) -> Iterator[staff.StaffMember]:
        """Everybody who ever worked here."""
        request = staff.ListStaffRequest()
        return self._pages(self._staff.ListStaff, request, "staff")

    def suspend_staff(self, staff_id: int, *, request_id: str = "") -> StaffAnswer:
        """Not for now: the shift ends at once."""
        return self._manage(self._staff.SuspendStaff, staff.SuspendStaffRequest(staff_id=staff_id), request_id)

    def resume_staff(self, staff_id: int, *, request_id: str = "") -> StaffAnswer:
        """Again."""
        return self._manage(self._staff.ResumeStaff, staff.ResumeStaffRequest(staff_id=staff_id), request_id)

    def unlock_staff(self, staff_id: int, *, request_id: str = "") -> StaffAnswer:
        """After too many wrong passwords."""
        return self._manage(self._staff.UnlockStaff, staff.UnlockStaffRequest(staff_id=staff_id), request_id)

    def record_leaving(self, staff_id: int, *, request_id: str = "") -> StaffAnswer:
        """For good."""
        return self._manage(self._staff.RecordLeaving, staff.RecordLeavingRequest(staff_id=staff_id), request_id)

    def change_staff(self, staff_id: int, outlet: str, roles: Iterable[str], *, request_id: str = "") -> StaffAnswer:
        """Other roles, another outlet."""
        request = staff.ChangeStaffRequest(staff_id=staff_id, outlet=outlet, roles=_roles(roles))
        return self._manage(self._staff.ChangeStaff, request, request_id)

    def reset_staff(self, staff_id: int) -> staff.ResetStaffResponse:
        """Another password and second factor, told once; so it is asked once."""
        request = staff.ResetStaffRequest(staff_id=staff_id)
        answer: staff.ResetStaffResponse = self._asking.ask_once(self._staff.ResetStaff, request)
        return answer

    # Terminals

    def request_terminal(self, kind: str, outlet: str, signing_request: str, *, request_id: str = "") -> TerminalAnswer:
        """Bring a terminal's signing request, of `make_request`; it waits for a second person."""
        request = terminals.RequestTerminalRequest(
            kind=f"TERMINAL_KIND_{kind.upper()}", outlet=outlet, signing_request=signing_request
        )
        return self._enrol(self._terminals.RequestTerminal, request, request_id)

    def decide_terminal(
        self, terminal_id: int, *, approve: bool, reason: str = "", request_id: str = ""
    ) -> TerminalAnswer:  # fmt: skip
        """The second person's word; a rejection says why."""
        request = terminals.DecideTerminalRequest(terminal_id=terminal_id, approve=approve, reason=reason)
        return self._enrol(self._terminals.DecideTerminal, request, request_id)

    def revoke_terminal(
        self, reason: str, *, serial: str = "", subject: str = "", request_id: str = ""
    ) -> tuple[str, ...]:  # fmt: skip
        """Refuse one certificate, or all of a terminal; answers the serial numbers."""
        request = terminals.RevokeTerminalRequest(reason=reason)
        if serial:
            request.serial = serial
        else:
            request.subject = subject
        return tuple(self._write(self._terminals.RevokeTerminal, request, request_id).serials)

    def list_terminals(self, *, state: str = "", subject: str = "") -> Iterator[terminals.Terminal]:
        """With the ends of their certificates; `state` as PENDING, ENROLLED, …"""
        wanted = f"TERMINAL_STATE_{state.upper() or 'UNSPECIFIED'}"
        request = terminals.ListTerminalsRequest(state=wanted, subject=subject)
        return self._pages(self._terminals.ListTerminals, request, "terminals")

    @cached_property
    def _terminals(self) -> TerminalServiceStub:
        return TerminalServiceStub(self._channel)

    def _enrol(self, ask: Any, request: Any, request_id: str) -> TerminalAnswer:
        answer = self._write(ask, request, request_id)
        return TerminalAnswer.of(request.request_id, answer, terminal=answer.terminal)

    def _manage(self, ask: Any, request: Any, request_id: str) -> StaffAnswer:
        answer = self._write(ask, request, request_id)
        return StaffAnswer.of(request.request_id, answer, member=answer.staff)


def _roles(roles: Iterable[str]) -> list[str]:
    return [f"ROLE_{role.upper()}" for role in roles]
