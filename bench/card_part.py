"""The card service: everything of a holder in one call, applications in bulk, and look-ups among many people."""

from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

import msgspec

from bench.api_process import Api, api_process, options_of, serving
from bench.bulk import BulkRound, measure_bulk
from bench.cardholders import holders_with_cards, known_to_payments
from bench.errors import BenchError
from bench.losses import RATE, Refused, measure_losses
from bench.online import Load, ask_in_python, hold, last_answer
from bench.people import person
from bench.plan import VIEWS_IN_FLIGHT, Plan
from bench.population import load_people
from bench.programs.caller import Questions
from bench.programs.look_up import LookedUp
from bench.registry import CardOffice, Registry
from bench.stage import Stage
from cli.city.steps import Steps
from cli.servers.ports import HOST, free_port
from onecard.card.v1.window_pb2 import GetHolderViewRequest, GetHolderViewResponse
from services.card.api.actors import SHIFT_KEY

_VIEW: Final = "/onecard.card.v1.WindowService/GetHolderView"
_ONE_ROW: Final = "/bench.Bench/OneRow"
FEW_HOLDERS: Final = 50_000


class ViewRound(NamedTuple):
    """Each once, a moment apart."""

    one_row: Load
    away: Load
    """Everything of a holder, while payments does not answer."""
    with_payments: Load


class LookUpRound(NamedTuple):
    """Both in turn."""

    few: LookedUp
    many: LookedUp


@dataclass(slots=True)
class CardMeasured:
    """What was found, round by round."""

    views: list[ViewRound] = field(default_factory=list)
    bulk: list[BulkRound] = field(default_factory=list)
    look_ups: list[LookUpRound] = field(default_factory=list)
    losses: Refused = field(default_factory=lambda: Refused([], []))


async def measure_card(stage: Stage, office: CardOffice, plan: Plan, show: Steps) -> CardMeasured:
    """Everything of the card service."""
    measured = CardMeasured()
    with show.step("the card service's schema, and a clerk"):
        await office.prepare()
    await _measure_views(stage, office, plan, measured, show)
    for number in range(plan.pairs):
        with show.step(f"applications in bulk, round {number + 1} of {plan.pairs}"):
            measured.bulk.append(await measure_bulk(stage, office, plan.bulk_batches, plan.bulk_rows))
    await _measure_look_ups(stage, office, plan, measured, show)
    with show.step(f"{plan.losses} losses while {RATE:,} taps a second flow"):
        measured.losses = await measure_losses(stage, office, plan.losses)
    return measured


async def _measure_views(stage: Stage, office: CardOffice, plan: Plan, measured: CardMeasured, show: Steps) -> None:
    async with office.registry() as registry, stage.ledger() as ledger:
        with show.step(f"{plan.viewed:,} holders with a card each, known to payments"):
            holders = await holders_with_cards(office, registry, plan.viewed)
            await known_to_payments(office, registry, ledger)
        for number in range(plan.pairs):
            with show.step(f"everything of a holder, round {number + 1} of {plan.pairs}"):
                async with api_process(stage, ledger, authority=office.authority) as payments:
                    asked = _Views(stage, office, registry, holders, plan.call_seconds)
                    measured.views.append(await asked.round(payments.address))


class _Views:
    """Asks processes that are started for it, one after the other: those that wait keep house, too."""

    def __init__(self, stage: Stage, office: CardOffice, registry: Registry, holders: list[int], seconds: float) -> None:
        self._stage = stage
        self._office = office
        self._registry = registry
        self._seconds = seconds
        shift = [(SHIFT_KEY, office.token)]
        documents = (person(number).document for number in range(len(holders)))
        views = [GetHolderViewRequest(document=document).SerializeToString() for document in documents]
        rows = [GetHolderViewRequest(holder_id=holder).SerializeToString() for holder in holders]
        self._views, self._rows = Questions(_VIEW, views, shift), Questions(_ONE_ROW, rows, shift)

    async def round(self, payments: str) -> ViewRound:
        """Each once."""
        one_row, _ = await self._hold(self._rows, "bench.programs.one_row")
        away, seen = await self._hold(self._views, "services.card", "serve", payments=f"{HOST}:{free_port()}")
        with_payments, known = await self._hold(self._views, "services.card", "serve", payments=payments)
        if not seen.holder.payments_away or known.holder.payments_away or not known.holder.HasField("money"):
            raise BenchError("payments answered where it should be away, or did not where it should")
        return ViewRound(one_row, away, with_payments)

    async def _hold(self, questions: Questions, *command: str, payments: str = "") -> tuple[Load, GetHolderViewResponse]:
        address = f"{HOST}:{free_port()}"
        env = {**self._registry.environment, "ONECARD_PAYMENTS": payments}
        shown = options_of(self._office.window, self._office.authority)
        async with serving(self._stage, "card-api", address, *command, env=env) as child:
            ask = partial(ask_in_python, self._stage, questions, address, VIEWS_IN_FLIGHT, shown)
            load = await hold(self._stage, [Api(address, child.pid)], ask, VIEWS_IN_FLIGHT, self._seconds)
        return load, GetHolderViewResponse.FromString(last_answer(self._stage))


async def _measure_look_ups(stage: Stage, office: CardOffice, plan: Plan, measured: CardMeasured, show: Steps) -> None:
    async with office.registry() as few, office.registry() as many:
        for registry, count in ((few, FEW_HOLDERS), (many, plan.many_holders)):
            with show.step(f"a registry of {count:,} holders"):
                await load_people(registry.connection, office.sealing, count)
        result = stage.folder / "looked-up.json"
        arguments = (few.application_url, FEW_HOLDERS, many.application_url, plan.many_holders, plan.call_seconds, result)
        for number in range(plan.pairs):
            with show.step(f"look-ups, round {number + 1} of {plan.pairs}"):
                await stage.run("look-up", "bench.programs.look_up", *map(str, arguments), env=few.environment)
                found = msgspec.json.decode(result.read_bytes(), type=tuple[LookedUp, LookedUp])
                measured.look_ups.append(LookUpRound(*found))
