"""A terminal of the card service: one line, the token of whoever stands there, and how its questions are asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final, Unpack

from sdk.asking import Asker, Patience, new_request_id
from sdk.merchant.access import Line
from sdk.till.errors import NotAcceptedError
from sdk.window.answers import ApplicationAnswer, CardAnswer

MOST_BYTES: Final = 64 * 1024
"""Of one message."""


class Terminal(Asker):
    """One terminal, as its certificate names it. Methods block until there is an answer.

    They raise NotAcceptedError when the platform does not take the question (`SIGN_IN_NEEDED`, `NOT_YOUR_RIGHT`), and
    OutcomeUnknownError when no answer came: then ask again with the same request id. What a rule says no to is an ordinary
    answer with a `refusal`. Whoever is signed in stays so when it is closed.
    """

    TOKEN: ClassVar[str]
    """The name under which the token goes with each call."""

    def __init__(self, line: Line, *, token: str = "", **patience: Unpack[Patience]) -> None:
        """The line is closed with it. `token`: of somebody who signed in, or was let in, here before."""
        super().__init__(line, **patience)
        self._channel = line.channel
        self._take(token)

    def _take(self, token: str) -> None:
        """From now on it is they who ask; empty: nobody."""
        metadata = self._asking.line.metadata
        self._asking.metadata = (*metadata, (self.TOKEN, token)) if token else metadata

    def _pages(self, ask: Any, request: Any, items: str) -> Iterator[Any]:
        """All that is listed, page after page."""
        while True:
            answer = self._asking.ask(ask, request)
            yield from getattr(answer, items)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def _write(self, ask: Any, request: Any, request_id: str) -> Any:
        """Ask for what is done once; without an id the request gets one."""
        request.request_id = request_id or new_request_id()
        return self._asking.ask(ask, request, request.request_id)

    def _change(self, ask: Any, request: Any, request_id: str) -> CardAnswer:
        answer = self._write(ask, request, request_id)
        return CardAnswer.of(request.request_id, answer, card=answer.card)

    def _apply(self, ask: Any, request: Any) -> ApplicationAnswer:
        request.request_id = request.request_id or new_request_id()
        if request.ByteSize() > MOST_BYTES:  # it would be refused unread, as if there were too many at once
            raise NotAcceptedError("TOO_LARGE", f"照片过大：整个请求最多 {MOST_BYTES // 1024} KB")
        answer = self._asking.ask(ask, request, request.request_id)
        application = answer.application if answer.HasField("application") else None
        told = {part: tuple(getattr(answer, part, ())) for part in ("not_carried", "hints")}
        hand_out_fen = getattr(answer, "hand_out_fen", 0)
        return ApplicationAnswer.of(
            request.request_id, answer, application=application, hand_out_fen=hand_out_fen, **told
        )  # fmt: skip
