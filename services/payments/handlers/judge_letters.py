"""Whether the cause of a dead letter stands at this moment, without deciding anything."""

from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters.letter_acts import acts_of
from services.payments.adapters.letters import read_letters
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.wire import SCENE_OF_TOPIC, Received, Undecided, decode
from services.payments.domain.book import Rules
from services.payments.domain.letter import Act, Letter, Standing
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Cause

_VERDICT: Final = text("select body_digest from payments.verdict where terminal = :terminal and sequence = :sequence")
_CARD: Final = text("select exists (select from payments.card where card_identifier = :card)")


class Judged(NamedTuple):
    """A dead letter, and how it stands."""

    letter: Letter
    standing: Standing
    cause_now: Cause | None
    acts: list[Act]


class JudgeLetters:
    """Looks at the live registry, epochs, tariffs and cards."""

    def __init__(self, engine: AsyncEngine, registry: Registry, verifier: Verifier, rules: Rules) -> None:
        self._engine = engine
        self._registry = registry
        self._verifier = verifier
        self._rules = rules

    async def __call__(self, number: int) -> Judged | None:
        """None: there is no such letter."""
        async with self._engine.connect() as connection:
            found = (await read_letters(connection, [number])).get(number)
            if found is None:
                return None
            letter, record = found
            acts = await acts_of(connection, number)
        if letter.end_time_ms:
            return Judged(letter, Standing.ENDED, None, acts)
        await self._registry.refresh()
        await self._verifier.refresh()
        standing, cause = await self._standing(letter, record)
        return Judged(letter, standing, cause, acts)

    async def _standing(self, letter: Letter, record: Received) -> tuple[Standing, Cause | None]:
        if record.topic not in SCENE_OF_TOPIC:
            return Standing.STANDS, letter.cause
        read = decode(record, self._registry, self._verifier)
        if isinstance(read, Undecided):
            return Standing.STANDS, read.cause
        digest, known = await self._look_up(read)
        if digest is not None:
            return (Standing.DECIDED, None) if digest == read.digest else (Standing.STANDS, Cause.IDENTITY_CONFLICT)
        if not known:
            return Standing.STANDS, Cause.UNKNOWN_CARD
        tariff = self._rules.tariffs.in_force(read)
        if tariff is None or not tariff.knows(read):
            return Standing.STANDS, Cause.NO_TARIFF
        return (Standing.UNTRIED if letter.cause is Cause.DATABASE_REJECTED else Standing.MENDED), None

    async def _look_up(self, tap: Tap) -> tuple[bytes | None, bool]:
        async with self._engine.connect() as connection:
            terminal, sequence = tap.identity
            digest = await connection.scalar(_VERDICT, {"terminal": terminal, "sequence": sequence})
            known = await connection.scalar(_CARD, {"card": tap.card_identifier})
        return digest, bool(known)
