"""Lines and stops, and how far it is from one stop to another."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Track:
    """Stops in their order, and the metres from each to the next."""

    stops: tuple[str, ...]
    metres: tuple[int, ...]


class Network:
    """Distances by the shortest way, found once for each stop that is asked for."""

    def __init__(self, tracks: Iterable[Track]) -> None:
        self._near: dict[str, dict[str, int]] = {}
        for track in tracks:
            for here, there, metres in zip(track.stops, track.stops[1:], track.metres, strict=False):
                for a, b in ((here, there), (there, here)):
                    ways = self._near.setdefault(a, {})
                    ways[b] = min(metres, ways.get(b, metres))
        self._from: dict[str, dict[str, int]] = {}

    def knows(self, stop: str) -> bool:
        """Whether it is on a track."""
        return stop in self._near

    def metres(self, here: str, there: str) -> int | None:
        """The shortest way between two stops that are known; None where there is none."""
        found = self._from.get(here)
        if found is None:
            found = self._from[here] = self._distances(here)
        return found.get(there)

    def longest_metres(self) -> int:
        """Between the two stops that are farthest from each other."""
        return max((max(self._distances(stop).values()) for stop in self._near), default=0)

    def _distances(self, start: str) -> dict[str, int]:
        done: dict[str, int] = {}
        reached = [(0, start)]
        while reached:
            metres, stop = heappop(reached)
            if stop in done:
                continue
            done[stop] = metres
            for neighbour, further in self._near[stop].items():
                if neighbour not in done:
                    heappush(reached, (metres + further, neighbour))
        return done
