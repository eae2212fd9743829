"""Where each card was tapped last, for a while."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_CARDS_A_PAGE: Final = 4000
"""At most half a megabyte."""


class Seen(NamedTuple):
    """When and where a card was tapped."""

    event_time_ms: int
    merchant_id: str


class Whereabouts:
    """The newest tap of each card at a merchant with a place.

    Most cards are new each time one looks. So they are not kept one by one but as pages, each with the cards that were seen
    since the page before.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._touched: set[str] = set()
        self._pages: dict[int, int] = {}
        """Number → the newest time on it."""
        self._gone: list[int] = []
        self._next = 0

    def see(self, card: str, seen: Seen) -> Seen | None:
        """Remember a tap unless a newer one is known; answers the one that was known before."""
        before = self._seen.get(card)
        if before is None or seen.event_time_ms >= before.event_time_ms:
            self._seen[card] = seen
            self._touched.add(card)
        return before

    def forget_before(self, time_ms: int) -> None:
        """Drop what is older."""
        for card in [card for card, seen in self._seen.items() if seen.event_time_ms < time_ms]:
            del self._seen[card]
            self._touched.discard(card)
        self._gone += [number for number, newest in self._pages.items() if newest < time_ms]
        for number in self._gone:
            self._pages.pop(number, None)

    def changes(self) -> Iterator[tuple[str, str | None]]:
        """What has changed since this was last asked, as texts to keep; None for what is to be dropped."""
        cards, self._touched = list(self._touched), set()
        for at in range(0, len(cards), _CARDS_A_PAGE):
            page = {card: self._seen[card] for card in cards[at : at + _CARDS_A_PAGE]}
            number, self._next = self._next, self._next + 1
            self._pages[number] = max(seen.event_time_ms for seen in page.values())
            yield str(number), "\n".join(f"{card} {seen.event_time_ms} {seen.merchant_id}" for card, seen in page.items())
        gone, self._gone = self._gone, []
        for number in gone:
            yield str(number), None

    def restore(self, kept: Mapping[str, str]) -> None:
        """Begin again with what was kept."""
        self._seen.clear()
        self._pages.clear()
        self._gone.clear()
        for number, text in sorted((int(number), text) for number, text in kept.items()):
            page = dict(_read(line) for line in text.splitlines())
            for card, seen in page.items():
                self.see(card, seen)
            self._pages[number] = max(seen.event_time_ms for seen in page.values())
        self._touched.clear()
        self._next = max(self._pages, default=-1) + 1


def _read(line: str) -> tuple[str, Seen]:
    card, time_ms, merchant_id = line.split(" ", 2)
    return card, Seen(int(time_ms), merchant_id)
