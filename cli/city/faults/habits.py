"""Faults of the people in a city: merchants' terminals that send what they should not, a bank, a keeper of blanks."""

from collections.abc import Callable
from dataclasses import replace

from cli.city.city import City
from cli.city.faults.fault import Act, Fault
from simulation import vandal
from simulation.troubles import TroubleFile, Troubles


def _told(change: Callable[[Troubles], Troubles]) -> Act:
    def act(city: City) -> None:
        file = TroubleFile(city.people.troubles)
        file.write(change(file.read()))

    return act


def _records(kind: vandal.Fault, a_second: float) -> tuple[Act, Act]:
    """So many bad records a second, and none any more."""

    def more(troubles: Troubles) -> Troubles:
        return replace(troubles, bad_records={**troubles.bad_records, kind: a_second})

    def none(troubles: Troubles) -> Troubles:
        return replace(troubles, bad_records={k: rate for k, rate in troubles.bad_records.items() if k is not kind})

    return _told(more), _told(none)


def _keeper(*, away: bool) -> Act:
    return _told(lambda troubles: replace(troubles, keeper_away=away))


def _bank(*, miscounts: bool) -> Act:
    return _told(lambda troubles: replace(troubles, bank_miscounts=miscounts))


GARBAGE = Fault(
    "garbage",
    "bytes that are no transaction come on the merchants' topics",
    *_records(vandal.Fault.UNDECODABLE, 2),
    seconds=55,
)
FORGED = Fault(
    "forged",
    "somebody without a terminal's key signs transactions, several a second",
    *_records(vandal.Fault.WRONG_TAC, 5),
    also=frozenset({"ForgedRecord"}),
    seconds=25,
)
STALE_KEYS = Fault(
    "stale-keys",
    "one terminal signs with keys of an epoch that nobody knows, now and then",
    *_records(vandal.Fault.UNKNOWN_EPOCH, 0.2),
    seconds=105,
)
REPEATS = Fault(
    "repeats",
    "a gateway sends again what was decided, more often than new taps come",
    *_records(vandal.Fault.SENT_TWICE, 100),
    seconds=45,
)
SKEWED_CLOCK = Fault(
    "skewed-clock",
    "a terminal's clock is an hour ahead",
    *_records(vandal.Fault.CLOCK_AHEAD, 2),
    seconds=70,
)
BANK_MISMATCH = Fault(
    "bank-mismatch",
    "the bank's returns come first with a count that is not that of their rows",
    _bank(miscounts=True),
    _bank(miscounts=False),
    seconds=70,
)
LOW_STOCK = Fault(
    "low-stock",
    "the keeper of blanks is away: windows and kits use up what they have",
    _keeper(away=True),
    _keeper(away=False),
    seconds=95,
)
