"""What happens, in lines with the time of day."""

from collections.abc import Callable
from datetime import datetime

from rich.console import Console

Say = Callable[[str], None]


def saying(console: Console) -> Say:
    """Prints each line at once."""

    def say(text: str) -> None:
        # The wall clock of whoever looks.
        console.print(f"{datetime.now():%H:%M:%S} {text}", highlight=False, markup=False, soft_wrap=True)  # noqa: DTZ005

    return say
