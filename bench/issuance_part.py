"""Instant issuance: cards a second, what they cost whom, against an empty stream, and our share of a card's time."""

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from bench.api_process import options_of
from bench.calls import Answers, middle
from bench.cpu import CpuMeter
from bench.errors import BenchError, NotReconciledError
from bench.issuance_office import TEMPLATE, IssuanceOffice, Processes
from bench.plan import STREAMS_IN_FLIGHT, Plan
from bench.programs.issue import Issued, Script, Work
from bench.registry import CardOffice
from bench.stage import Stage
from cli.city.steps import Steps

CHIP_SECONDS: Final = 0.02
"""What a command takes a real chip, when our share is measured."""
_WARM_UP: Final = 16
_FEWEST: Final = 40
_EACH: Final = 4
"""Cards of a measurement, at least and for each in flight."""
_EMPTY: Final = 4
"""Times as many empty streams: they are quick."""
_SHARED: Final = 10
"""Cards of the measurement of our share."""
_NOT_YET_SHARED: Final = 2
"""Of them do not count."""
FAMILIES: Final = ("issuance", "card", "vault", "postgresql")


class Making(NamedTuple):
    """Cards that were made, or streams that went as if."""

    answers: Answers
    """A card is one."""
    cpu_us: dict[str, float]
    """A card, by family of processes."""
    client_cpu_us: float
    """A card, of the process with windows and chips."""
    commands: float
    """A card."""
    messages: float
    """Of the service, a card."""
    again: int
    """How many of the cards were put in again, because the service said so."""


class Share(NamedTuple):
    """How long cards took, one after the other."""

    cards: int
    seconds: float
    chip_seconds: float

    @property
    def ours(self) -> float:
        """For each second in which a chip worked."""
        return (self.seconds - self.chip_seconds) / self.chip_seconds


class IssuanceRound(NamedTuple):
    """Every state once, by streams in flight; whoever holds one knows that it reconciled."""

    made: dict[int, Making]
    empty: dict[int, Making]
    share: Share


@dataclass(slots=True)
class IssuanceMeasured:
    """What was found, round by round."""

    rounds: list[IssuanceRound] = field(default_factory=list)


async def measure_issuance(stage: Stage, office: CardOffice, plan: Plan, show: Steps) -> IssuanceMeasured:
    """Everything of issuance."""
    measured = IssuanceMeasured()
    counts = cards_of(plan)
    applied = _WARM_UP + sum(counts.values()) + _SHARED
    issuing = IssuanceOffice(stage, office)
    with show.step(f"{applied:,} applications and blanks at a window"):
        await issuing.prepare(applied)
    for number in range(plan.pairs):
        with show.step(f"cards made at once, round {number + 1} of {plan.pairs}"):
            measured.rounds.append(await _Round(stage, office, issuing, counts).run(number))
    return measured


def cards_of(plan: Plan) -> dict[int, int]:
    """How many are made, by streams in flight."""
    most = max(STREAMS_IN_FLIGHT)
    return {in_flight: max(plan.issued * in_flight // most, _EACH * in_flight, _FEWEST) for in_flight in STREAMS_IN_FLIGHT}


class _Round:
    """The product and the empty stream, side by side, a moment apart."""

    def __init__(self, stage: Stage, office: CardOffice, issuing: IssuanceOffice, counts: dict[int, int]) -> None:
        self._stage = stage
        self._office = office
        self._issuing = issuing
        self._counts = counts
        self._numbers: set[bytes] = set()
        """On the chips that were made."""

    async def run(self, number: int) -> IssuanceRound:
        made, empty = {}, {}
        firsts = dict(zip(self._counts, accumulate(self._counts.values(), initial=_WARM_UP), strict=False))
        async with self._office.registry(TEMPLATE) as registry, self._issuing.serving(registry) as product:
            warm = await self._make(product, 1, self._issuing.work(0, _WARM_UP))
            script = warm.script
            async with self._issuing.empty_stream(script) as nothing:
                await self._make(nothing, 1, self._issuing.work(0, _WARM_UP, script=script))
                for in_flight, count in self._counts.items():
                    for which in (0, 1) if number % 2 else (1, 0):
                        if which:
                            made[in_flight] = await self._hold(product, in_flight, firsts[in_flight], count)
                        else:
                            empty[in_flight] = await self._hold(nothing, in_flight, 0, _EMPTY * count, script)
            first = _WARM_UP + sum(self._counts.values())
            share = _share(await self._make(product, 1, self._issuing.work(first, _SHARED, CHIP_SECONDS)))
            await self._issuing.reconcile(registry, first + _SHARED)
            if len(self._numbers) != first + _SHARED:
                raise NotReconciledError(f"{first + _SHARED} chips have {len(self._numbers)} card numbers")
        return IssuanceRound(made, empty, share)

    async def _hold(
        self, processes: Processes, in_flight: int, first: int, count: int, script: Script | None = None
    ) -> Making:  # fmt: skip
        meter = CpuMeter(processes.pids)
        async with meter.watching():
            issued = await self._make(processes, in_flight, self._issuing.work(first, count, script=script))
        answers = middle(issued.cards)
        used = meter.between(answers.start, answers.end)
        return Making(
            answers,
            {name: seconds / answers.calls * 1e6 for name, seconds in used.items()},
            issued.cpu_seconds / count * 1e6,
            issued.commands / count,
            issued.messages / count,
            issued.again,
        )

    async def _make(self, processes: Processes, in_flight: int, work: Work) -> Issued:
        asked, result = self._stage.folder / "work.msgpack", self._stage.folder / "issued.msgpack"
        asked.write_bytes(msgspec.msgpack.encode(work))
        shown = options_of(self._office.window, self._office.authority)
        arguments = (processes.address, str(in_flight), str(asked), str(result))
        await self._stage.run("issue", "bench.programs.issue", *arguments, *shown)
        issued = msgspec.msgpack.decode(result.read_bytes(), type=Issued)
        if len(issued.cards) != len(work.applications):
            raise BenchError(f"{len(work.applications)} cards were to be made, and {len(issued.cards)} were")
        if not work.script:
            self._numbers |= issued.numbers
        if work.script and issued.messages != len(work.script.said) * len(issued.cards):
            raise BenchError("a chip did not do what the script has of it")
        return issued


def _share(issued: Issued) -> Share:
    """Without the first cards: what everybody needs comes into memory with them."""
    cards = issued.cards[_NOT_YET_SHARED:]
    return Share(len(cards), sum(card.seconds for card in cards), sum(issued.chips[_NOT_YET_SHARED:]))
