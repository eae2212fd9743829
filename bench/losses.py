"""From a loss report at a window to the refusal of the card, online and in the stream, while taps flow."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from bench.api_process import serving, tls_of
from bench.cardholders import holders_with_cards, known_to_payments
from bench.contenders import WORKER
from bench.database import LedgerCopy
from bench.errors import BenchError
from bench.generator import emit_steadily
from bench.offsets import begin_at
from bench.programs.lose import EVERY_SECONDS, MERCHANT, Job, Lose, Lost
from bench.registry import CardOffice, Registry
from bench.stage import Stage
from bench.statistics import percentile
from bench.taps import Place
from cli.authority import Issued
from cli.servers.ports import HOST, free_port
from services.card.api.actors import SHIFT_KEY
from services.common.peer import Subject
from services.payments.domain.verdict import Reason
from simulation.city import HANDHELD

RATE: Final = 2_000
"""Taps a second beside it."""
_MORE_SECONDS: Final = 15
"""Taps flow from before the first loss until after the last."""
_LOOK_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 60.0
_CARDS: Final = "select id, card_identifier from card.card where social = 1 order by id"
_REASONS: Final = """
select v.sequence, v.reason from payments.verdict v join payments.terminal t on t.id = v.terminal
join payments.merchant m on m.id = t.merchant where m.merchant_id = $1 and t.terminal_id = $2"""
_UNLIMITED: Final = {"ONECARD_TERMINAL_CALLS": "100000/100000"}


class Refused(NamedTuple):
    """Seconds from the report of each loss, measured before it is committed."""

    online: Sequence[float]
    """To the answer that declines the card as lost."""
    stream: Sequence[float]
    """To the instant from which on every tap is refused."""

    def percentile_ms(self, percent: float) -> float:
        """Of both, the longer."""
        return max(percentile(self.online, percent), percentile(self.stream, percent)) * 1000


async def measure_losses(stage: Stage, office: CardOffice, losses: int) -> Refused:
    """Lose so many cards, one after the other; reconciled."""
    async with office.registry() as registry, stage.ledger() as ledger:
        await holders_with_cards(office, registry, losses)
        await known_to_payments(office, registry, ledger)
        begin_at(stage.broker.bootstrap, WORKER.group, stage.ends)
        payments, card = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
        env = {**stage.environment(ledger), **_UNLIMITED, **tls_of("onecard://service/payments", office.authority)}
        async with (
            serving(stage, "losing-api", payments, "services.payments", "serve", env=env),
            serving(stage, "losing-card", card, "services.card", "serve", env=registry.environment),
        ):
            with stage.process("losing-worker", *WORKER.command, env=stage.environment(ledger)):
                done, reasons = await _lose(stage, office, registry, ledger, (card, payments))
        taps = sum(len(lost.taps) for lost in done.lost)
        await ledger.reconcile(int(losses * EVERY_SECONDS + _MORE_SECONDS) * RATE + taps, operations=done.asked)
    return refused(done.lost, reasons)


def refused(lost: Sequence[Lost], reasons: Mapping[int, Reason]) -> Refused:
    """How long it took. Raises BenchError when a lost card was never refused in the stream."""
    return Refused([one.online - one.reported for one in lost], [_refused_from(one, reasons) - one.reported for one in lost])


def _refused_from(lost: Lost, reasons: Mapping[int, Reason]) -> float:
    """The instant of the first tap behind the last one that was not refused."""
    first = None
    for sequence, at in reversed(lost.taps):
        if reasons[sequence] is not Reason.HOTLISTED:
            break
        first = at
    if first is None:
        raise BenchError("a card that was reported lost was still accepted when it was tapped last")
    return first


async def _lose(
    stage: Stage, office: CardOffice, registry: Registry, ledger: LedgerCopy, addresses: tuple[str, str]
) -> tuple[Lose, dict[int, Reason]]:
    cards = [(number, identifier) for number, identifier in await registry.connection.fetch(_CARDS)]
    taps = int(len(cards) * EVERY_SECONDS + _MORE_SECONDS) * RATE
    flow = asyncio.create_task(emit_steadily(stage, RATE, taps))
    decided = partial(_decided, ledger)
    await decided(RATE)
    job, result = stage.folder / "lose.json", stage.folder / "lost.json"
    shown = (_files(office, office.window), _files(office, office.authority.issue(Subject(MERCHANT, HANDHELD).uri)))
    key = stage.key_of(MERCHANT, HANDHELD)
    told = Job(*addresses, stage.broker.bootstrap, (SHIFT_KEY, office.token), cards, *shown, key.epoch, key.key)
    job.write_bytes(msgspec.json.encode(told))
    await stage.run("lose", "bench.programs.lose", str(job), str(result), env=registry.environment)
    if flow.done():
        raise BenchError("the taps ended before the last loss")
    done = msgspec.json.decode(result.read_bytes(), type=Lose)
    for topic, partition, records in done.sent:
        stage.ends[Place(topic, partition)] += records
    await flow
    await decided(taps + sum(records for *_, records in done.sent))
    rows = await ledger.connection.fetch(_REASONS, MERCHANT, HANDHELD)
    return done, {sequence: Reason(reason) for sequence, reason in rows}


async def _decided(ledger: LedgerCopy, taps: int) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await ledger.decided() < taps:
            await asyncio.sleep(_LOOK_SECONDS)


def _files(office: CardOffice, shown: Issued) -> tuple[str, str, str]:
    return str(shown.certificate), str(shown.key), str(office.authority.certificate)
