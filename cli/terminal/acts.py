"""What can be done to a card at a window, and what each wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as window

APPLYING: Final = {
    "FIRST": applications.APPLICATION_KIND_FIRST,
    "REISSUE": applications.APPLICATION_KIND_REISSUE,
    "REPLACE": applications.APPLICATION_KIND_REPLACE,
}
"""These are applications."""


@dataclass(frozen=True, slots=True)
class Act:
    """One verb of a card."""

    verb: str
    method: str
    """Of the window, where it is asked alone."""
    item: str = ""
    """Of a visit, where it may be settled with a receipt."""
    request: Any = None
    pin: bool = False
    """The holder may choose one."""
    pin_wanted: bool = False
    """…or has to."""
    presented: bool = True
    for_good: bool = False
    """It cannot be taken back: it is asked once more."""


def _of(*acts: Act) -> dict[str, Act]:
    return {act.verb: act for act in acts}


ACTS: Final = _of(
    Act("COLLECT", "collect", "collect", cards.CollectRequest, pin=True),
    Act("ENABLE", "enable", "enable", cards.EnableRequest, pin=True),
    Act("ACTIVATE", "activate", "activate", cards.ActivateRequest),
    Act("REPORT_TEMPORARY_LOSS", "report_temporary_loss", "report_temporary_loss", cards.ReportTemporaryLossRequest),
    Act("REPORT_FORMAL_LOSS", "report_formal_loss", "report_formal_loss", cards.ReportFormalLossRequest, for_good=True),
    Act("RELEASE", "release", "release", cards.ReleaseRequest),
    Act("UNLOCK", "unlock", "unlock", cards.UnlockRequest),
    Act("RESET_PIN", "reset_pin", pin=True, pin_wanted=True),
    Act("EXTEND", "extend", "extend", cards.ExtendRequest),
    Act("CANCEL", "cancel", for_good=True),
    Act("ASK_BANK_AGAIN", "ask_bank_again"),
    Act("SIGN_UP", "sign_up", pin=True, pin_wanted=True),
    Act("RAISE_LEVEL", "raise_level"),
    Act("RESET_PASSWORD", "reset_password", pin=True, pin_wanted=True),
    Act("CANCEL_ELECTRONIC", "cancel_electronic"),
)


def item_of(act: Act, **fields: Any) -> window.VisitItem:
    """For a visit."""
    return window.VisitItem(**{act.item: act.request(**fields)})
