"""Follow the numbers of terminals: what a terminal has sent and never arrived is seen before anybody complains."""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.database import driver_of
from services.payments import metrics
from services.payments.adapters import audits, progress
from services.payments.domain.seal import Seal, Span

_MOST_SEALS: Final = 100
_EVERY_SEAL: Final = 2**63 - 1


class FollowSequences:
    """Run by the elected process alone. It follows the seals: each committed batch is in one of them, however late."""

    def __init__(self, *, most_seals: int = _MOST_SEALS) -> None:
        self._most_seals = most_seals

    async def __call__(self, connection: AsyncConnection) -> bool:
        """Count the verdicts of the next seals. False: it is far behind."""
        driver = await driver_of(connection)
        async with driver.transaction():
            await driver.execute("set local transaction_timeout = '60s'; set local plan_cache_mode = force_custom_plan")
            seals = await audits.seals_between(driver, await progress.counted_to(driver), _EVERY_SEAL, self._most_seals)
            if seals:
                await progress.count_verdicts(driver, _joined(_spans(seals)), seals[-1].number)
            missing = await progress.count_missing(driver)
        metrics.TERMINALS_WITH_GAPS.set(missing.terminals)
        metrics.MISSING_SEQUENCES.set(missing.sequences)
        return len(seals) < self._most_seals


def _spans(seals: Sequence[Seal]) -> Iterator[Span]:
    """The numbers that seals cover, without their holes; late ones apart."""
    for seal in seals:
        first = seal.first
        for hole_first, hole_last in seal.holes:
            if first < hole_first:
                yield first, hole_first - 1
            first = hole_last + 1
        if first <= seal.last:
            yield first, seal.last
    for seal in seals:
        yield from ((number, number) for number in seal.late)


def _joined(spans: Iterator[Span]) -> list[Span]:
    """Spans that touch become one."""
    joined: list[Span] = []
    for first, last in spans:
        if joined and first == joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
