"""A question before everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cli.terminal.texts import Texts

if TYPE_CHECKING:
    from cli.terminal.app import WindowApp

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """One question; `None`: it was left."""

    AUTO_FOCUS = "Input, Select, OptionList, Button"

    @property
    def texts(self) -> Texts:
        """In the language of this application."""
        return cast("WindowApp", self.app).texts

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys, with what they do in words."""
        return {
            key: active._replace(binding=replace(active.binding, description=self.texts(active.binding.description)))
            if "." in active.binding.description
            else active
            for key, active in super().active_bindings.items()
        }

    def action_leave(self) -> None:
        """No answer."""
        self.dismiss(None)


class Choice(Dialog[str]):
    """One of several, by its number or the arrow keys."""

    BINDINGS: ClassVar[list[Any]] = [
        *(Binding(str(number), f"take({number})", show=False) for number in range(1, 10)),
    ]

    def __init__(self, question: str, options: dict[str, str], *, note: str = "") -> None:
        """`options`: what is answered, and how it reads."""
        super().__init__()
        self._question = question
        self._note = note
        self._options = options

    def compose(self) -> ComposeResult:
        """The question, then the answers."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="headline", markup=False)
            if self._note:
                yield Static(self._note, classes="hint", markup=False)
            yield OptionList(
                *(Option(f"{number}  {text}", id=key) for number, (key, text) in enumerate(self._options.items(), 1))
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """By Enter."""
        self.dismiss(str(event.option_id))

    def action_take(self, number: int) -> None:
        """By its number."""
        keys = list(self._options)
        if number <= len(keys):
            self.dismiss(keys[number - 1])
