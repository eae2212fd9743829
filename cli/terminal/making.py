"""A card in the making: how far it is, how long each step took, and the questions that a thread has for people."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from rich.cells import cell_len
from rich.text import Text

from cli.terminal.dialog import Choice
from cli.terminal.screens.handing import HandOver
from cli.terminal.texts import Texts
from onecard.issuance.v1 import issuance_pb2 as messages
from sdk.window.issuance import GivenUpError

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen

T = TypeVar("T")
FIRST, LAST = messages.STAGE_CARD_READ, messages.STAGE_ENABLED
_STAGES: Final = tuple(range(FIRST, LAST + 1))
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SPINS_A_SECOND: Final = 5


class Steps:
    """Each with its seconds; a step runs until the next one is reached."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began: float | None = None
        self._ended: float | None = None
        self._done = 0
        self._took: dict[int, float] = {}
        self._since = 0.0

    @property
    def running(self) -> bool:
        """Whether the clock runs."""
        return self._began is not None and self._ended is None

    @property
    def done(self) -> int:
        """The last stage that was reached."""
        return self._done

    def begin(self) -> None:
        """From the first one; a card that is inserted again is told how far it was."""
        self._began = self._since = self._clock()
        self._ended, self._done = None, 0
        self._took.clear()

    def reach(self, stage: int) -> None:
        """Never back."""
        if stage > self._done:
            now = self._clock()
            self._took[stage] = now - self._since
            self._since, self._done = now, stage

    def end(self) -> None:
        """All are done."""
        self.reach(LAST)
        self.stop()

    def stop(self) -> None:
        """The clock stops where it is."""
        self._ended = self._clock()

    def seconds(self) -> float:
        """All in all."""
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    def render(self, texts: Texts) -> Text:
        """A line a step."""
        text = Text()
        for stage in _STAGES:
            name = texts(f"stage.{messages.Stage.Name(stage).removeprefix('STAGE_')}")
            if stage <= self._done:
                took = f"{self._took[stage]:6.1f} s" if stage in self._took else ""
                text.append(" ✓ ", "bold #6cc788").append(_padded(name)).append(f"{took}\n", "#8fb8de")
            elif self.running and stage == self._done + 1:
                spin = _SPINNER[int(self._clock() * _SPINS_A_SECOND) % len(_SPINNER)]
                took = f"{self._clock() - self._since:6.1f} s"
                text.append(f" {spin} ", "bold #f0b429").append(_padded(name), "bold").append(f"{took}\n", "#f0b429")
            elif self._ended is not None and stage == self._done + 1:
                text.append(" ‖ ", "bold #ff8a80").append(f"{name}\n", "#ff8a80")
            else:
                text.append(" · ", "#5b7079").append(f"{name}\n", "#8aa0a8")
        return text


class Desk(Protocol):
    """The screen that a making belongs to."""

    app: App[Any]

    @property
    def texts(self) -> Texts: ...  # noqa: D102
    def reached(self, stage: messages.Stage) -> None: ...  # noqa: D102
    def told_to(self, key: str) -> None: ...  # noqa: D102
    def looks_printed(self) -> bool | None: ...  # noqa: D102


class Asker:
    """Asks people, on behalf of the thread in which the card is made. A Counter."""

    def __init__(self, page: Any) -> None:
        self._page: Desk = page
        self._waiting: Future[Any] | None = None
        self._closed = False

    def close(self) -> None:
        """The screen is gone: nobody answers any more."""
        self._closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(GivenUpError(messages.GIVE_UP_REASON_CLERK))

    def progress(self, stage: messages.Stage) -> None:
        """The card has come so far."""
        if not self._closed:
            self._page.app.call_from_thread(self._page.reached, stage)

    def look(self) -> messages.CardLooks:
        """Blank, good, spoiled?"""
        texts = self._page.texts
        looks = {
            "blank": (messages.CARD_LOOKS_BLANK, texts("look.blank")),
            "good": (messages.CARD_LOOKS_GOOD, texts("look.good")),
            "spoiled": (messages.CARD_LOOKS_SPOILED, texts("look.spoiled")),
        }
        printed = self._page.looks_printed()
        seen = "" if printed is None else texts("look.virtual_printed" if printed else "look.virtual_white")
        options = {key: text for key, (_, text) in looks.items()} | self._ways_out()
        answer = self._ask(Choice(texts("look.question"), options, note=seen), "issue.look")
        return looks[self._going_on(answer)][0]

    def hand_over(self, card_id: int, *, old_card_wanted: bool) -> messages.HandedOver:
        """Who took it, what was shown, and the PIN."""
        answer = self._ask(HandOver(old_card_wanted=old_card_wanted), "issue.hand_over")
        if isinstance(answer, messages.HandedOver):
            return answer
        self._going_on(answer)
        raise AssertionError("a hand-over is given up, or done")

    def _ways_out(self) -> dict[str, str]:
        return {key: self._page.texts(f"give_up.{key}") for key in GIVE_UP}

    @staticmethod
    def _going_on(answer: str | None) -> str:
        if answer is None:
            raise GivenUpError(messages.GIVE_UP_REASON_CLERK)
        if answer in GIVE_UP:
            raise GivenUpError(GIVE_UP[answer])
        return answer

    def _ask(self, screen: Screen[Any], prompt: str) -> Any:
        if self._closed:
            raise GivenUpError(messages.GIVE_UP_REASON_CLERK)
        answer: Future[Any] = Future()
        self._waiting = answer

        def show() -> None:
            self._page.told_to(prompt)
            self._page.app.push_screen(screen, lambda told: None if answer.done() else answer.set_result(told))

        self._page.app.call_from_thread(show)
        return answer.result()


GIVE_UP: Final = {
    "left": messages.GIVE_UP_REASON_APPLICANT_LEFT,
    "broken": messages.GIVE_UP_REASON_CARD_BROKEN,
    "stop": messages.GIVE_UP_REASON_CLERK,
}


def _padded(name: str, columns: int = 22) -> str:
    return name + " " * max(1, columns - cell_len(name))
