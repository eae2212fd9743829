"""Which screen a task has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cli.terminal.page import Page
from cli.terminal.screens.applying import Apply
from cli.terminal.screens.approvals import Approvals
from cli.terminal.screens.check import Check
from cli.terminal.screens.find import Find
from cli.terminal.screens.issue import Issue
from cli.terminal.screens.receipt import FindReceipt
from cli.terminal.screens.shift import CloseShift
from cli.terminal.screens.top_up import TopUp
from cli.terminal.screens.work import Work

_PAGES: Final[dict[str, Callable[[], Page]]] = {
    "find": Find,
    "apply": Apply,
    "issue": Issue,
    "top_up": TopUp,
    "work": Work,
    "approvals": Approvals,
    "check": Check,
    "receipt": FindReceipt,
    "shift": CloseShift,
}


def page_of(task: str) -> Page:
    """A new one."""
    return _PAGES[task]()
