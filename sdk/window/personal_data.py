"""What a window asks about personal data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import privacy_pb2 as privacy
from onecard.card.v1.privacy_pb2_grpc import PrivacyServiceStub
from sdk.window.answers import Answer, ConsentAnswer
from sdk.window.terminal import Terminal


class PersonalData(Terminal):
    """Consent, phone and address, export, correction, deletion and search."""

    @cached_property
    def _privacy(self) -> PrivacyServiceStub:
        return PrivacyServiceStub(self._channel)

    def give_consent(
        self, holder_id: int, kind: str, guardian: applications.Representative | None = None, *, request_id: str = ""
    ) -> ConsentAnswer:
        """To one purpose: FINANCE, LOCATION, MINOR; for a minor by the guardian."""
        request = privacy.GiveConsentRequest(holder_id=holder_id, kind=_kind(kind), guardian=guardian)
        return self._consent(self._privacy.GiveConsent, request, request_id)

    def withdraw_consent(
        self, holder_id: int, kind: str, guardian: applications.Representative | None = None, *, request_id: str = ""
    ) -> ConsentAnswer:
        """From now on; what was done on it stays done."""
        request = privacy.WithdrawConsentRequest(holder_id=holder_id, kind=_kind(kind), guardian=guardian)
        return self._consent(self._privacy.WithdrawConsent, request, request_id)

    def change_contact(
        self,
        holder_id: int,
        *,
        phone: str = "",
        address: str = "",
        guardian: applications.Representative | None = None,
        request_id: str = "",
    ) -> Answer:
        """Where a holder is reached. They, or a minor's guardian, stand here, and the document was read and compared."""
        request = privacy.ChangeContactRequest(
            holder_id=holder_id, identity_verified=True, guardian=guardian, phone=phone, address=address
        )
        return self._ask_about(self._privacy.ChangeContact, request, request_id)

    def export_holder(self, holder_id: int, purpose: str) -> bytes:
        """Everything about a holder, as JSON, for the holder."""
        request = privacy.ExportHolderRequest(holder_id=holder_id, purpose=purpose)
        document: bytes = self._asking.ask(self._privacy.ExportHolder, request).document
        return document

    def delete_holder(self, holder_id: int, *, request_id: str = "") -> Answer:
        """Forget a holder. It waits for a second person; ask again with the same id then."""
        request = privacy.DeleteHolderRequest(holder_id=holder_id)
        return self._ask_about(self._privacy.DeleteHolder, request, request_id)

    def correct_identity(
        self,
        holder_id: int,
        *,
        name: str = "",
        birth_date: str = "",
        document: applications.Document | None = None,
        request_id: str = "",
    ) -> Answer:
        """What is right, and was wrong. It waits for a second person; ask again with the same id then."""
        request = privacy.CorrectIdentityRequest(
            holder_id=holder_id,
            name=name,
            birth_date=birth_date,
            document=document,
        )
        return self._ask_about(self._privacy.CorrectIdentity, request, request_id)

    def search(self, name: str, birth_date: str) -> Iterator[privacy.FoundHolder]:
        """Everybody of a name and a birth date (as 1950-12-31), masked. There are only so many searches an hour."""
        request = privacy.SearchHoldersRequest(name=name, birth_date=birth_date)
        return self._pages(self._privacy.SearchHolders, request, "holders")

    def _consent(self, ask: Any, request: Any, request_id: str) -> ConsentAnswer:
        answer = self._write(ask, request, request_id)
        return ConsentAnswer.of(request.request_id, answer, consents=tuple(answer.consents))

    def _ask_about(self, ask: Any, request: Any, request_id: str) -> Answer:
        answer = self._write(ask, request, request_id)
        return Answer.of(request.request_id, answer)


def _kind(kind: str) -> Any:
    return f"CONSENT_KIND_{kind.upper()}"
