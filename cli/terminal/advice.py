"""What went wrong, turned into what a clerk does next."""

from __future__ import annotations

from typing import Any, Final

from cli.terminal.texts import Texts, table
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.devices.reader import ChipError

SIGN_IN_ANEW: Final = frozenset({"SIGN_IN_NEEDED", "SHIFT_ENDED", "SESSION_ENDED", "WRONG_TERMINAL"})
EXPECTED: Final = (NotAcceptedError, OutcomeUnknownError, ChipError, OSError)
"""Whatever else is raised is a fault of this program."""


def advice_on(error: BaseException, texts: Texts) -> str:
    """In a sentence or two."""
    match error:
        case NotAcceptedError():
            key = f"advice.{error.reason}"
            told = error.message if _is_sentence(error.message) else ""
            if key in table():
                return f"{told} {texts(key)}".strip()
            return f"{told or texts('advice.refused')}（{error.reason}）"
        case OutcomeUnknownError():
            return texts("advice.unknown")
        case ChipError():
            return str(error) or texts("advice.chip")
        case OSError():
            return texts("advice.file")
    return texts("advice.fault", kind=type(error).__name__)


def refused(refusal: Any, texts: Texts) -> str:
    """A rule's no: what can be said, the field, and what is to be done for it."""
    lines = [refusal.message]
    for fault in getattr(refusal, "photo_faults", ()):
        line = texts("photo.fault", message=fault.message)
        lines.append(line + (texts("photo.may_pass") if fault.overridable else ""))
    lines += [
        texts("apply.possible", holder=one.holder_id, name=one.masked_name, number=one.masked_document_number)
        for one in getattr(refusal, "possible_holders", ())
    ]
    if approval := getattr(refusal, "approval_id", 0):
        lines.append(texts("approval.asked", number=approval))
    return "\n".join(lines)


def _is_sentence(message: str) -> bool:
    """Whether it is one that a clerk can say: what libraries say for themselves is not."""
    return any("\u4e00" <= character <= "\u9fff" for character in message)
