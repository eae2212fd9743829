"""Counts by period and key, a few periods of them; they know what has changed since they were last kept."""

from collections import defaultdict
from collections.abc import Iterator, Mapping


class Windows:
    """Counts in plain dictionaries: what keeps them is touched once a key and period, however often a key was counted.

    A period is a minute or a day, numbered from 1970; a key is a line, a merchant, a card's digest. A count below
    `worth_keeping` is not kept: whoever restarts begins it again.
    """

    def __init__(self, worth_keeping: int = 1) -> None:
        self._worth_keeping = worth_keeping
        self._counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._touched: set[tuple[int, str]] = set()

    def add(self, period: int, key: str, amount: int = 1) -> int:
        """Count; answers the count before."""
        counts = self._counts[period]
        before = counts.get(key, 0)
        counts[key] = before + amount
        if before + amount >= self._worth_keeping:
            self._touched.add((period, key))
        return before

    def of(self, period: int) -> Mapping[str, int]:
        """The counts of a period."""
        return self._counts.get(period, {})

    def forget_before(self, period: int) -> None:
        """Drop what is older."""
        for old in [number for number in self._counts if number < period]:
            self._touched.update((old, key) for key, count in self._counts.pop(old).items() if count >= self._worth_keeping)

    def changes(self) -> Iterator[tuple[str, str | None]]:
        """What has changed since this was last asked, as texts to keep; None for what is to be dropped."""
        touched, self._touched = self._touched, set()
        for period, key in touched:
            count = self._counts.get(period, {}).get(key)
            yield f"{period} {key}", None if count is None else str(count)

    def restore(self, kept: Mapping[str, str]) -> None:
        """Begin again with what was kept."""
        self._counts.clear()
        self._touched.clear()
        for name, count in kept.items():
            period, _, key = name.partition(" ")
            self._counts[int(period)][key] = int(count)
