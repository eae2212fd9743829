"""Progress while things start: what is being done, for how long, and what took its time."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Shows named steps, several of them side by side. Several threads may use it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=False,
        )

    def __enter__(self) -> "Steps":
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def say(self, text: str) -> None:
        """A line that stays, above the steps."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step from its beginning to its end; one that fails keeps its cross."""
        began = time.monotonic()
        task = self._progress.add_task(name, total=1)
        try:
            yield
        finally:
            failed = sys.exc_info()[0] is not None
            if failed:
                self._progress.update(task, description=f"[red]✗ {name}")
            else:
                self._progress.update(task, completed=1)
            self._progress.stop_task(task)
            if not self._console.is_terminal:
                self.say(f"{'✗' if failed else '✓'} {name} ({time.monotonic() - began:.1f} s)")
