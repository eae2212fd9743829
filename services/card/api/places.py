"""Where the next page of a list begins."""

from typing import NamedTuple


class Place(NamedTuple):
    """Behind a number."""

    after: int

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""
        return self.after > 0
