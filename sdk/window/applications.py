"""What a window asks about applications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceStub
from sdk.window.answers import ApplicationAnswer
from sdk.window.terminal import MOST_BYTES, Terminal

_PART_BYTES: Final = MOST_BYTES // 2
_ROW_ADDS_BYTES: Final = 8
_BATCH_SECONDS: Final = 600.0


class Applications(Terminal):
    """申领: for one person, and by an employer for many."""

    @cached_property
    def _applications(self) -> ApplicationServiceStub:
        return ApplicationServiceStub(self._channel)

    def submit(self, request: applications.SubmitRequest) -> ApplicationAnswer:
        """Apply for one person; a request without an id gets one."""
        return self._apply(self._applications.Submit, request)

    def add_photo(
        self,
        application_id: int,
        photo: bytes,
        *,
        overrides: Iterable[applications.PhotoOverride] = (),
        request_id: str = "",
    ) -> ApplicationAnswer:
        """The photo that an application waits for; `overrides`: points that a clerk lets pass, with a reason each."""
        request = applications.AddPhotoRequest(
            request_id=request_id, application_id=application_id, photo=photo, photo_overrides=overrides
        )  # fmt: skip
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
        return self._pages(self._applications.ListApplications, request, "applications")

    def submit_batch(
        self, header: applications.BatchHeader, rows: Iterable[applications.BatchRow]
    ) -> applications.SubmitBatchResponse:
        """An employer's batch. One that was cut off is sent again under its id: rows that have a verdict keep it."""
        answer: applications.SubmitBatchResponse = self._asking.ask_once(
            self._applications.SubmitBatch, _parts(header, rows), seconds=_BATCH_SECONDS
        )
        return answer

    def batch(self, batch_id: str, *, page_size: int = 0, after_row: int = 0) -> applications.GetBatchResponse:
        """How far a batch has come, with the verdicts behind a row."""
        request = applications.GetBatchRequest(batch_id=batch_id, page_size=page_size, after_row=after_row)
        answer: applications.GetBatchResponse = self._asking.ask(self._applications.GetBatch, request)
        return answer


def _parts(
    header: applications.BatchHeader, rows: Iterable[applications.BatchRow]
) -> Iterator[applications.SubmitBatchRequest]:
    yield applications.SubmitBatchRequest(header=header)
    part: list[applications.BatchRow] = []
    size = 0
    for row in rows:
        size += row.ByteSize() + _ROW_ADDS_BYTES
        if size > _PART_BYTES and part:
            yield applications.SubmitBatchRequest(rows=part)
            part, size = [], row.ByteSize() + _ROW_ADDS_BYTES
        part.append(row)
    if part:
        yield applications.SubmitBatchRequest(rows=part)
