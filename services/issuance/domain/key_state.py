"""Which key is in a place of the chip, as far as the journal knows; the card itself settles the rest."""

from dataclasses import dataclass

from services.issuance.domain.effects import ChangeKind, Generation, Outcome, Past
from services.issuance.domain.product import Key


@dataclass(frozen=True, slots=True)
class KeyState:
    """What the journal says of one key."""

    load: Outcome | None
    """Of its last replacement; None: it was never begun."""
    attempts: tuple[tuple[Generation, Outcome], ...]
    """Since then."""

    @property
    def settled(self) -> Generation | None:
        """The generation that is certainly there; None: an answer was lost."""
        for generation, outcome in reversed(self.attempts):
            if outcome is not Outcome.UNKNOWN:
                return generation if outcome is Outcome.DONE else _other(generation)
        match self.load:
            case Outcome.UNKNOWN:
                return None
            case Outcome.DONE:
                return Generation.FINAL
            case _:
                return Generation.TRANSPORT

    def order(self) -> tuple[Generation, ...]:
        """In which they are tried: the old key first only if the new one was never loaded, or if its answer was lost.

        Where answers are lost again and again both take turns: every second try is with the right key, which gives back what
        the wrong one cost.
        """
        if self.load is None:
            return (Generation.TRANSPORT,)
        last = self.attempts[-1][0] if self.attempts else Generation.TRANSPORT
        first = self.settled or _other(last)
        return (first, _other(first))

    def may_try(self, key: Key, generation: Generation, tries_kept: int) -> bool:
        """Whether the card keeps enough tries if this attempt fails, and every unanswered one that may have failed did.

        A key that the card has taken, or accepted since, is the right one: then an answer that was lost cost nothing.
        """
        return key.tries - self._lost(generation) - 1 >= tries_kept

    def _lost(self, generation: Generation) -> int:
        """Tries that attempts with this generation cost, at worst, since one was certainly right."""
        lost, accepted = 0, Generation.FINAL if self.load is Outcome.DONE else None
        for tried, outcome in self.attempts:
            if outcome is Outcome.DONE:
                lost, accepted = 0, tried
            elif tried is generation and not (outcome is Outcome.UNKNOWN and tried is accepted):
                lost += 1
        return lost


def key_state(key: Key, past: Past) -> KeyState:
    """From the whole journal of a card."""
    load: Outcome | None = None
    attempts: list[tuple[Generation, Outcome]] = []
    for change, outcome in past.rows:
        if change.address != key.address:
            continue
        if change.kind is ChangeKind.KEY_LOAD:
            load, attempts = outcome, []
        elif change.kind is ChangeKind.ATTEMPT and change.generation:
            attempts.append((change.generation, outcome))
    return KeyState(load, tuple(attempts))


def _other(generation: Generation) -> Generation:
    return Generation.TRANSPORT if generation is Generation.FINAL else Generation.FINAL
