"""Calls that wait for an answer: the product, an empty call behind the same edge, and one transaction a call, in turn."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench import h2load
from bench.api_process import Api, api_process, options_of
from bench.backlog import Written
from bench.calls import Answered, Answers, middle, read_log
from bench.cpu import CpuMeter
from bench.database import LedgerCopy
from bench.errors import BenchError, NotReconciledError
from bench.plan import CALLS_IN_FLIGHT
from bench.programs.caller import Questions
from bench.request import REQUEST, SUBJECT
from bench.stage import Stage
from cli.authority import Authority
from services.common.grpc.callers import SUBJECT_KEY

_AUTHORIZE: Final = "/onecard.payments.v1.PaymentsService/Authorize"
_EMPTY: Final = "/bench.Bench/Empty"
_FEWEST: Final = 200
_EACH: Final = 8
"""Calls of a warm-up, at least and for each in flight; it also tells how many calls fill the time."""
_MOST_DECLINED: Final = 0.02
_QUESTIONS: Final = Questions(_AUTHORIZE, [REQUEST], [(SUBJECT_KEY, SUBJECT)])
TWO_PROCESSES_IN_FLIGHT: Final = 256
TLS_IN_FLIGHT: Final = 64


class State(Enum):
    """What answers."""

    AUTHORISE = "Authorize, paid at once"
    EMPTY_RPC = "empty RPC"
    ONE_TX = "one transaction a call"


class Load(NamedTuple):
    """A closed loop that was held for some seconds."""

    answers: Answers
    api_cpu_us: float
    """CPU a call of the processes that answered."""
    postgresql_cpu_us: float


class OnlineRound(NamedTuple):
    """Every state once; whoever holds one knows that it reconciled."""

    loads: dict[tuple[State, int], Load]
    """By state and calls in flight."""
    two_processes: Load
    """On one port."""
    plain: Load
    """With the client in Python."""
    tls: Load
    """With the same client, which shows a certificate."""


class Paid(NamedTuple):
    """Payments, each in a call."""

    load: Load
    calls: int
    """With those of the warm-up."""
    written: Written
    """By all of them."""


Ask = Callable[[int], Awaitable[list[Answered]]]
"""Ask so many times."""


async def measure_online(stage: Stage, seconds: float, number: int) -> OnlineRound:
    """One round; where it begins moves on with its number."""
    return OnlineRound(await _states(stage, seconds, number), *await _processes_and_tls(stage, seconds))


async def measure_payments(stage: Stage, in_flight: int, seconds: float) -> Paid:
    """`Authorize`, paid at once, on a fresh copy of the ledger; reconciled."""
    count = Count()
    async with stage.ledger() as ledger:
        before = Written(*await ledger.written())
        async with api_process(stage, ledger) as api:
            ask = count.counted(State.AUTHORISE, partial(h2load.ask, stage.folder, api.address, _AUTHORIZE, in_flight))
            load = await hold(stage, [api], ask, in_flight, seconds)
        after = Written(*await ledger.written())
        calls = count.asked[State.AUTHORISE]
        await _reconcile(ledger, [api], calls)
    return Paid(load, calls, Written(after.tables - before.tables, after.log - before.log))


async def _states(stage: Stage, seconds: float, number: int) -> dict[tuple[State, int], Load]:
    """Both ledgers stand side by side, so that states are compared that were measured a moment apart."""
    count = Count()
    loads = {}
    async with stage.ledger() as ledger, stage.ledger() as other:
        async with api_process(stage, ledger) as product, api_process(stage, other, one_by_one=True) as single:
            for in_flight in CALLS_IN_FLIGHT:
                for state in _in_turn(list(State), number):
                    api = single if state is State.ONE_TX else product
                    method = _EMPTY if state is State.EMPTY_RPC else _AUTHORIZE
                    ask = count.counted(state, partial(h2load.ask, stage.folder, api.address, method, in_flight))
                    loads[state, in_flight] = await hold(stage, [api], ask, in_flight, seconds)
        if product.served.empty != count.asked[State.EMPTY_RPC]:
            raise NotReconciledError(f"{count.asked[State.EMPTY_RPC]} empty calls, {product.served.empty} answered well")
        await _reconcile(ledger, [product], count.asked[State.AUTHORISE])
        await _reconcile(other, [single], count.asked[State.ONE_TX])
    return loads


async def _processes_and_tls(stage: Stage, seconds: float) -> tuple[Load, Load, Load]:
    """Two processes on one port; then one of them against a third, which speaks TLS with certificates on both sides."""
    authority = Authority(stage.folder / "authority")
    shown = options_of(authority.issue(SUBJECT), authority)
    count = Count()
    counted = partial(count.counted, State.AUTHORISE)
    async with stage.ledger() as ledger:
        async with api_process(stage, ledger, 1) as first:
            async with api_process(stage, ledger, 2, address=first.address) as second:
                ask = counted(partial(h2load.ask, stage.folder, first.address, _AUTHORIZE, TWO_PROCESSES_IN_FLIGHT))
                both = await hold(stage, [first, second], ask, TWO_PROCESSES_IN_FLIGHT, seconds)
            if not second.served.authorised:
                raise BenchError("two processes shared a port, and one of them was asked nothing")
            async with api_process(stage, ledger, 3, authority=authority) as encrypted:
                ask = counted(partial(ask_in_python, stage, _QUESTIONS, first.address, TLS_IN_FLIGHT, []))
                plain = await hold(stage, [first], ask, TLS_IN_FLIGHT, seconds)
                ask = counted(partial(ask_in_python, stage, _QUESTIONS, encrypted.address, TLS_IN_FLIGHT, shown))
                tls = await hold(stage, [encrypted], ask, TLS_IN_FLIGHT, seconds)
        await _reconcile(ledger, [first, second, encrypted], count.asked[State.AUTHORISE])
    return both, plain, tls


class Count:
    """How often each state was asked."""

    def __init__(self) -> None:
        self.asked = dict.fromkeys(State, 0)

    def counted(self, state: State, ask: Ask) -> Ask:
        """The same, counted."""

        async def count(calls: int) -> list[Answered]:
            self.asked[state] += calls
            return await ask(calls)

        return count


async def hold(stage: Stage, apis: Sequence[Api], ask: Ask, in_flight: int, seconds: float) -> Load:
    """Ask for so many seconds, after a warm-up, with so many calls in flight."""
    fewest = max(_FEWEST, _EACH * in_flight)
    warm_up = middle(await ask(fewest))
    meter = CpuMeter({"api": [api.pid for api in apis], "postgresql": [stage.postgres.child.pid]})
    async with meter.watching():
        answers = middle(await ask(max(fewest, round(warm_up.per_second * seconds))))
    used = meter.between(answers.start, answers.end)
    return Load(answers, used["api"] / answers.calls * 1e6, used["postgresql"] / answers.calls * 1e6)


async def ask_in_python(
    stage: Stage, questions: Questions, address: str, in_flight: int, options: Sequence[str], calls: int
) -> list[Answered]:
    """Ask with the client in Python; `options` name the certificate that it shows."""
    asked, log = stage.folder / "questions.json", _log(stage)
    asked.write_bytes(msgspec.json.encode(questions))
    await stage.run("caller", "bench.programs.caller", address, str(in_flight), str(calls), str(asked), str(log), *options)
    return read_log(log.read_text())


def last_answer(stage: Stage) -> bytes:
    """What the client in Python heard last."""
    return _log(stage).with_suffix(".answer").read_bytes()


def _log(stage: Stage) -> Path:
    return stage.folder / "caller.log"


async def _reconcile(ledger: LedgerCopy, apis: Sequence[Api], asked: int) -> None:
    answered = sum(api.served.authorised for api in apis)
    if answered != asked:
        raise NotReconciledError(f"{asked} payments were asked for, {answered} were answered well")
    await ledger.reconcile(0, operations=answered)
    if (declined := await ledger.declined()) > answered * _MOST_DECLINED:
        raise BenchError(f"{declined} of {answered} payments were declined: that is less work")


def _in_turn(states: list[State], number: int) -> list[State]:
    at = number % len(states)
    return states[at:] + states[:at]
