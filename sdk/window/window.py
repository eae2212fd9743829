"""A service window: somebody signs in, and then asks the card service, again with the same request id while no answer comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import approvals_pb2 as approvals
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import staff_pb2 as staff
from onecard.card.v1 import window_pb2 as window
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceStub
from onecard.card.v1.approvals_pb2_grpc import ApprovalServiceStub
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from onecard.card.v1.staff_pb2_grpc import StaffServiceStub
from onecard.card.v1.window_pb2_grpc import WindowServiceStub
from sdk.asking import ANSWER_SECONDS, PATIENCE_SECONDS, Asking, Trouble, new_request_id
from sdk.merchant.access import Line

SHIFT: Final = "x-onecard-shift"
IN_PERSON: Final = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON, identity_verified=True)
"""The holder stands here, and the document was read and compared."""
BY_TELEPHONE: Final = cards.Presented(party=cards.PARTY_HOLDER_REMOTE)
_ROWS_A_PART: Final = 100
_BATCH_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody is signed in at this window. The token is worth nothing elsewhere."""

    token: str = field(repr=False)
    expire_time_ms: int
    staff_id: int
    roles: tuple[str, ...]
    outlet: str


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """A card as it stands afterwards, and why nothing was done, if nothing was."""

    request_id: str
    card: cards.CardSummary
    refusal: applications.Refusal | None
    remainder_fen: int = 0
    """Of a cancellation: what was left on the account and is handed out now."""
    remainder_to_come: bool = False
    """Not all of it could be paid out yet; it follows by itself."""

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.refusal is None


@dataclass(frozen=True, slots=True)
class ApplicationAnswer:
    """An application as it stands afterwards, and why nothing was done, if nothing was."""

    request_id: str
    application: applications.ApplicationSummary | None
    refusal: applications.Refusal | None

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.refusal is None


class Window:
    """One window, as its certificate names it, with whoever is signed in. Methods block until there is an answer.

    They raise NotAcceptedError when the platform does not take the question (`SIGN_IN_NEEDED`, `NOT_YOUR_RIGHT`), and
    OutcomeUnknownError when no answer came: then ask again with the same request id. What a rule says no to is an ordinary
    answer with a `refusal`.
    """

    def __init__(
        self,
        line: Line,
        *,
        token: str = "",
        answer_seconds: float = ANSWER_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        trouble: Trouble | None = None,
    ) -> None:
        """The line is closed with the window. `token`: of somebody who signed in here before."""
        self._asking = Asking(line, answer_seconds=answer_seconds, patience_seconds=patience_seconds, trouble=trouble)
        self._applications = ApplicationServiceStub(line.channel)
        self._approvals = ApprovalServiceStub(line.channel)
        self._cards = CardServiceStub(line.channel)
        self._staff = StaffServiceStub(line.channel)
        self._window = WindowServiceStub(line.channel)
        self._take(token)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the line; whoever is signed in stays so."""
        self._asking.close()

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

    def create_staff(self, login: str, outlet: str, roles: Iterable[str]) -> staff.CreateStaffResponse:
        """Make an account. What its owner needs is in the answer, once; so it is asked once."""
        request = staff.CreateStaffRequest(login=login, outlet=outlet, roles=[f"ROLE_{role.upper()}" for role in roles])
        answer: staff.CreateStaffResponse = self._asking.ask_once(self._staff.CreateStaff, request)
        return answer

    # Everything of a holder

    def view(self, **by: Any) -> window.HolderView:
        """By `document`, `card_identifier`, `card_number` or `holder_id`; `unmasked` needs a `purpose`."""
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

    # Applications

    def submit(self, request: applications.SubmitRequest) -> ApplicationAnswer:
        """Apply for one person; a request without an id gets one."""
        return self._apply(self._applications.Submit, request)

    def add_photo(self, application_id: int, photo: bytes, *, request_id: str = "") -> ApplicationAnswer:
        """The photo that an application waits for."""
        request = applications.AddPhotoRequest(request_id=request_id, application_id=application_id, photo=photo)
        return self._apply(self._applications.AddPhoto, request)

    def withdraw(self, application_id: int, *, request_id: str = "") -> ApplicationAnswer:
        """Take an application back."""
        request = applications.WithdrawRequest(request_id=request_id, application_id=application_id)
        return self._apply(self._applications.Withdraw, request)

    def refuse(self, application_id: int, remark: str, *, request_id: str = "") -> ApplicationAnswer:
        """Send an application back to the applicant."""
        request = applications.RefuseRequest(request_id=request_id, application_id=application_id, remark=remark)
        return self._apply(self._applications.Refuse, request)

    def resubmit(self, request: applications.ResubmitRequest) -> ApplicationAnswer:
        """Hand in again what was refused; a request without an id gets one."""
        return self._apply(self._applications.Resubmit, request)

    def application(self, application_id: int) -> applications.GetApplicationResponse:
        """One application with its timeline."""
        request = applications.GetApplicationRequest(application_id=application_id)
        answer: applications.GetApplicationResponse = self._asking.ask(self._applications.GetApplication, request)
        return answer

    def list_applications(
        self, *, outlet: str = "", state: str = "", overdue_only: bool = False
    ) -> Iterator[applications.ApplicationSummary]:
        """Those of an outlet, oldest first; `state` as APPLIED, AT_BANK, …, by default all that are open."""
        wanted = f"APPLICATION_STATE_{state.upper() or 'UNSPECIFIED'}"
        request = applications.ListApplicationsRequest(outlet=outlet, state=wanted, overdue_only=overdue_only)
        while True:
            answer = self._asking.ask(self._applications.ListApplications, request)
            yield from answer.applications
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def submit_batch(
        self, header: applications.BatchHeader, rows: Iterable[applications.BatchRow]
    ) -> applications.SubmitBatchResponse:
        """An employer's batch. One that was cut off is sent again under its id: rows that have a verdict keep it."""
        answer: applications.SubmitBatchResponse = self._asking.ask_once(
            self._applications.SubmitBatch, _parts(header, rows), seconds=_BATCH_SECONDS
        )
        return answer

    def batch(self, batch_id: str) -> applications.GetBatchResponse:
        """How far a batch has come."""
        request = applications.GetBatchRequest(batch_id=batch_id)
        answer: applications.GetBatchResponse = self._asking.ask(self._applications.GetBatch, request)
        return answer

    # The life of a card

    def collect(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """Hand it over."""
        return self._change(self._cards.Collect, cards.CollectRequest(card_id=card_id, presented=presented), request_id)

    def enable(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """启用 its social function; a successor takes its predecessor's place."""
        return self._change(self._cards.Enable, cards.EnableRequest(card_id=card_id, presented=presented), request_id)

    def activate(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """激活 its financial function."""
        return self._change(self._cards.Activate, cards.ActivateRequest(card_id=card_id, presented=presented), request_id)

    def report_temporary_loss(
        self, card_id: int, presented: cards.Presented = BY_TELEPHONE, *, request_id: str = ""
    ) -> CardAnswer:
        """临时挂失."""
        request = cards.ReportTemporaryLossRequest(card_id=card_id, presented=presented)
        return self._change(self._cards.ReportTemporaryLoss, request, request_id)

    def report_formal_loss(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """正式挂失, for good."""
        request = cards.ReportFormalLossRequest(card_id=card_id, presented=presented)
        return self._change(self._cards.ReportFormalLoss, request, request_id)

    def release(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """解挂: the card was found."""
        return self._change(self._cards.Release, cards.ReleaseRequest(card_id=card_id, presented=presented), request_id)

    def unlock(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """After too many wrong PINs."""
        return self._change(self._cards.Unlock, cards.UnlockRequest(card_id=card_id, presented=presented), request_id)

    def extend(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """A temporary card lives on."""
        return self._change(self._cards.Extend, cards.ExtendRequest(card_id=card_id, presented=presented), request_id)

    def cancel(
        self,
        card_id: int,
        reason: str,
        presented: cards.Presented = IN_PERSON,
        *,
        remainder_to: str = "CASH",
        request_id: str = "",
    ) -> CardAnswer:
        """注销, for good: DECEASED, EMIGRATED, MOVED_AWAY. It waits for a second person; ask again with the same id then."""
        request = cards.CancelRequest(
            card_id=card_id,
            presented=presented,
            reason=f"CANCEL_REASON_{reason.upper()}",
            remainder_to=f"REMAINDER_TO_{remainder_to.upper()}",
        )
        request.request_id = request_id or new_request_id()
        answer = self._asking.ask(self._cards.Cancel, request, request.request_id)
        refusal = answer.refusal if answer.HasField("refusal") else None
        return CardAnswer(request.request_id, answer.card, refusal, answer.remainder_fen, answer.remainder_to_come)

    def allowed_actions(self, card_id: int) -> cards.ListAllowedActionsResponse:
        """What may be done to a card now, and for the rest why not."""
        request = cards.ListAllowedActionsRequest(card_id=card_id)
        answer: cards.ListAllowedActionsResponse = self._asking.ask(self._cards.ListAllowedActions, request)
        return answer

    # A second person's word

    def list_approvals(self) -> Iterator[approvals.Approval]:
        """What waits at this outlet, oldest first."""
        request = approvals.ListApprovalsRequest()
        while True:
            answer = self._asking.ask(self._approvals.ListApprovals, request)
            yield from answer.approvals
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def decide_approval(self, approval_id: int, *, approve: bool, reason: str = "") -> approvals.DecideApprovalResponse:
        """Approve or reject; a rejection says why."""
        request = approvals.DecideApprovalRequest(approval_id=approval_id, approve=approve, reason=reason)
        answer: approvals.DecideApprovalResponse = self._asking.ask_once(self._approvals.DecideApproval, request)
        return answer

    def _take(self, token: str) -> None:
        self._asking.metadata = (*self._asking.line.metadata, (SHIFT, token)) if token else self._asking.line.metadata

    def _apply(self, ask: Any, request: Any) -> ApplicationAnswer:
        request.request_id = request.request_id or new_request_id()
        answer = self._asking.ask(ask, request, request.request_id)
        application = answer.application if answer.HasField("application") else None
        return ApplicationAnswer(request.request_id, application, answer.refusal if answer.HasField("refusal") else None)

    def _change(self, ask: Any, request: Any, request_id: str) -> CardAnswer:
        request.request_id = request_id or new_request_id()
        answer = self._asking.ask(ask, request, request.request_id)
        return CardAnswer(request.request_id, answer.card, answer.refusal if answer.HasField("refusal") else None)


def _parts(
    header: applications.BatchHeader, rows: Iterable[applications.BatchRow]
) -> Iterator[applications.SubmitBatchRequest]:
    yield applications.SubmitBatchRequest(header=header)
    part: list[applications.BatchRow] = []
    for row in rows:
        part.append(row)
        if len(part) == _ROWS_A_PART:
            yield applications.SubmitBatchRequest(rows=part)
            part = []
    if part:
        yield applications.SubmitBatchRequest(rows=part)
