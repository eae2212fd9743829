"""Where the next page of a list begins."""

from typing import NamedTuple

from services.card.domain.work import WorkKind


class Place(NamedTuple):
    """Behind a number."""

    after: int

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""
        return self.after > 0


class WorkPlace(NamedTuple):
    """Behind a thing of a kind."""

    kind: int
    after: int

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""
        return self.after > 0 and self.kind in set(WorkKind)
