"""A service window: somebody signs in, and then asks the card service, again with the same request id while no answer comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from onecard.card.v1 import approvals_pb2 as approvals
from onecard.card.v1 import bank_pb2 as bank
from onecard.card.v1 import staff_pb2 as staff
from onecard.card.v1 import window_pb2 as window
from onecard.card.v1.approvals_pb2_grpc import ApprovalServiceStub
from onecard.card.v1.bank_pb2_grpc import BankServiceStub
from onecard.card.v1.staff_pb2_grpc import StaffServiceStub
from onecard.card.v1.window_pb2_grpc import WindowServiceStub
from sdk.asking import new_request_id
from sdk.window.applications import Applications
from sdk.window.cards import Cards
from sdk.window.electronic_cards import ElectronicCards
from sdk.window.personal_data import PersonalData
from sdk.window.spending_limits import GuardiansLimits


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody is signed in at this window. The token is worth nothing elsewhere."""

    token: str = field(repr=False)
    expire_time_ms: int
    staff_id: int
    roles: tuple[str, ...]
    outlet: str


class Window(Applications, Cards, ElectronicCards, GuardiansLimits, PersonalData):
    """One window, with whoever is signed in; what it asks about cards, applications and so on stands with each of these."""

    TOKEN = "x-onecard-shift"  # noqa: S105 - its name, no token

    @cached_property
    def _approvals(self) -> ApprovalServiceStub:
        return ApprovalServiceStub(self._channel)

    @cached_property
    def _bank(self) -> BankServiceStub:
        return BankServiceStub(self._channel)

    @cached_property
    def _staff(self) -> StaffServiceStub:
        return StaffServiceStub(self._channel)

    @cached_property
    def _window(self) -> WindowServiceStub:
        return WindowServiceStub(self._channel)

    # Who is here

    def sign_in(self, login: str, password: str, code: str, new_password: str = "") -> Session:
        """With password and second factor, for one shift. It is asked once: a code is good once."""
        request = staff.SignInRequest(login=login, password=password, code=code, new_password=new_password)
        answer = self._asking.ask_once(self._staff.SignIn, request)
        self._take(answer.token)
        roles = tuple(staff.Role.Name(role).removeprefix("ROLE_") for role in answer.roles)
        return Session(answer.token, answer.expire_time_ms, answer.staff_id, roles, answer.outlet)

    def sign_out(self) -> None:
        """The shift ends."""
        self._asking.ask(self._staff.SignOut, staff.SignOutRequest())
        self._take("")

    # Everything of a holder

    def view(self, **by: Any) -> window.HolderView:
        """By `document`, `card_identifier`, `card_number`, `holder_id` or `token`; `unmasked` needs a `purpose`."""
        answer = self._asking.ask(self._window.GetHolderView, window.GetHolderViewRequest(**by))
        found: window.HolderView = answer.holder
        return found

    def visit(self, items: Sequence[window.VisitItem], *, holder_id: int = 0, visit_id: str = "") -> window.VisitReceipt:
        """Settle several things of one holder under one receipt."""
        visit_id = visit_id or new_request_id()
        request = window.CompleteVisitRequest(visit_id=visit_id, holder_id=holder_id, items=items)
        receipt: window.VisitReceipt = self._asking.ask(self._window.CompleteVisit, request, visit_id).receipt
        return receipt

    def receipt(self, visit: int | str) -> window.VisitReceipt:
        """A receipt once more, by its number or by the id that this window chose."""
        by: dict[str, Any] = {"visit_number": visit} if isinstance(visit, int) else {"visit_id": visit}
        receipt: window.VisitReceipt = self._asking.ask(self._window.GetVisit, window.GetVisitRequest(**by)).receipt
        return receipt

    def list_work(self, *, outlet: str = "", kind: str = "") -> Iterator[window.WorkItem]:
        """What waits at an outlet; `kind` OVERDUE, LYING, …, as WorkKind has them, by default all."""
        request = window.ListWorkRequest(outlet=outlet, kind=f"WORK_KIND_{kind.upper() or 'UNSPECIFIED'}")
        return self._pages(self._window.ListWork, request, "items")

    # What the bank said

    def list_bank_work(self) -> Iterator[bank.BankWork]:
        """What is to be looked at because of the bank, at this outlet."""
        request = bank.ListBankWorkRequest()
        return self._pages(self._bank.ListBankWork, request, "work")

    def clear_bank_fault(self, batch: int, row: int, *, request_id: str = "") -> int:
        """Why a row had no effect was cleared with the bank; answers how many faults were open."""
        request = bank.ClearBankFaultRequest(batch=batch, row=row)
        cleared: int = self._write(self._bank.ClearBankFault, request, request_id).cleared
        return cleared

    # A second person's word

    def list_approvals(self) -> Iterator[approvals.Approval]:
        """What waits at this outlet, oldest first."""
        request = approvals.ListApprovalsRequest()
        return self._pages(self._approvals.ListApprovals, request, "approvals")

    def decide_approval(self, approval_id: int, *, approve: bool, reason: str = "") -> approvals.DecideApprovalResponse:
        """Approve or reject; a rejection says why."""
        request = approvals.DecideApprovalRequest(approval_id=approval_id, approve=approve, reason=reason)
        answer: approvals.DecideApprovalResponse = self._asking.ask_once(self._approvals.DecideApproval, request)
        return answer
