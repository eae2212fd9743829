"""Rides whose fares depend on each other: the rows that late taps are put among. Working state, changed in place."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from services.common.clock import instant
from services.payments.adapters.payments import columns
from services.payments.adapters.requests import adjustment_of
from services.payments.adapters.rows import field, microseconds
from services.payments.adapters.wire import tap_of_body
from services.payments.domain.account import Account, HolderAccount
from services.payments.domain.rating.price import JOURNEY
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.ride import History, Ride, under_way
from services.payments.domain.tap import Scene, Side, Terminal
from services.payments.domain.verdict import Revised

_HEAD: Final = Struct("!hiqi")
_PLACE: Final = Struct("!iqiiiqi")
_LENGTH: Final = Struct("!i")
_FLAG: Final = field(b"\0"), field(b"\1")
_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(dict[str, Any]).decode

_TERMINAL: Final = "t.id, m.merchant_id, t.terminal_id, m.scene, m.payable_account"
_FACTS: Final = f"select r.account_id, r.tariff_key, r.body, r.before, r.rated, {_TERMINAL}"
_WHOSE: Final = "join payments.terminal t on t.id = r.terminal join payments.merchant m on m.id = t.merchant"
_IN_ORDER: Final = "order by r.account_id, r.tariff_key, r.event_time, r.terminal, r.sequence"
_READ: Final = f"""{_FACTS}
from unnest($1::bigint[], $2::text[], $3::timestamptz[]) as asked(account_id, tariff_key, since)
join payments.ride r on r.account_id = asked.account_id and r.tariff_key = asked.tariff_key and r.event_time >= asked.since
{_WHOSE} {_IN_ORDER}"""
_READ_ALL: Final = f"{_FACTS} from payments.ride r {_WHOSE} where r.account_id = any($1::bigint[]) {_IN_ORDER}"

_SAME: Final = """
where (r.account_id, r.tariff_key, r.event_time, r.terminal, r.sequence)
    = (n.account_id, n.tariff_key, n.event_time, n.terminal, n.sequence)"""
_CHANGE: Final = f"""
update payments.ride r set before = n.before, rated = n.rated
from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bytea[], $7::bytea[])
     as n(account_id, tariff_key, event_time, terminal, sequence, before, rated) {_SAME}"""  # noqa: S608  # constants
_LET_REST: Final = f"""
update payments.ride r set awaits_exit = false
from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::int[], $5::bigint[])
     as n(account_id, tariff_key, event_time, terminal, sequence) {_SAME}"""  # noqa: S608  # constants


class _Rated(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of how a ride was rated."""

    fare: Fare
    parts: tuple[tuple[int, int], ...]
    short_fen: int
    unmatched: bool
    revision: int


_decode_rated = msgspec.msgpack.Decoder(_Rated).decode
Wanted = Mapping[tuple[int, str], int]
"""By account and key of the tariff: since when rides must be at hand, in milliseconds."""


def ride_rows(rides: Sequence[Ride]) -> bytes:
    """New rows in PostgreSQL's binary COPY format."""
    return b"".join([_row(ride) for ride in rides])


def _row(ride: Ride) -> bytes:
    tap, key = ride.tap, ride.key.encode()
    body, before, rated = tap.body, _encode(ride.before), _rated(ride)
    head = _HEAD.pack(9, 8, ride.account_id, len(key))
    place = _PLACE.pack(8, microseconds(tap.event_time_ms), 4, tap.terminal.number, 8, tap.sequence, len(body))
    awaits = _FLAG[tap.facts.side is Side.ENTRY and not ride.unmatched]
    # Not by `field`: its calls would be a fifth of this.
    return b"".join((head, key, place, body, _LENGTH.pack(len(before)), before, _LENGTH.pack(len(rated)), rated, awaits))


def _rated(ride: Ride) -> bytes:
    return _encode((ride.fare, ride.parts, ride.short_fen, ride.unmatched, ride.revision))


async def read_histories(driver: "asyncpg.Connection[Any]", wanted: Wanted) -> dict[tuple[int, str], History]:
    """The rides of these accounts since some time, up to the last one, in order. Under the locks of the accounts.

    Where a ride was under way then, it goes back to its beginning: a tap that is put there may change what it costs.
    """
    histories = await _read(driver, wanted)
    earlier = {
        place: began
        for place, rides in histories.items()
        if rides and 0 < (began := _began_ms(rides[0].before)) < wanted[place]
    }
    if earlier:
        histories.update(await _read(driver, earlier))
    return {place: History(rides) for place, rides in histories.items()}


async def _read(driver: "asyncpg.Connection[Any]", wanted: Wanted) -> dict[tuple[int, str], list[Ride]]:
    asked = [(account_id, key, instant(since_ms)) for (account_id, key), since_ms in wanted.items()]
    histories: dict[tuple[int, str], list[Ride]] = {place: [] for place in wanted}
    for row in await driver.fetch(_READ, *columns(asked)):
        ride = _ride_of(row)
        histories[ride.account_id, ride.key].append(ride)
    return histories


async def read_all_rides(driver: "asyncpg.Connection[Any]", accounts: Sequence[int]) -> dict[tuple[int, str], list[Ride]]:
    """Everything that is kept of these accounts, in order, to be looked at."""
    histories: dict[tuple[int, str], list[Ride]] = {}
    for row in await driver.fetch(_READ_ALL, accounts):
        ride = _ride_of(row)
        histories.setdefault((ride.account_id, ride.key), []).append(ride)
    return histories


def _ride_of(row: Sequence[Any]) -> Ride:
    account_id, key, body, before, rated, *terminal = row
    how = _decode_rated(rated)
    return Ride(
        tap_of_body(_terminal_of(*terminal), body), account_id, key, _decode_state(before), how.fare, how.parts, how.short_fen,
        how.unmatched, how.revision, stored=True,
    )  # fmt: skip


def rated_fare(rated: bytes) -> Fare:
    """What a stored ride costs as it is posted."""
    return _decode_rated(rated).fare


def _terminal_of(number: int, merchant_id: str, terminal_id: str, scene: int, payee: int) -> Terminal:
    """Of the columns `_TERMINAL`: what was accepted stays so, whatever became of the terminal."""
    return Terminal(number, merchant_id, terminal_id, Scene(scene), payee, retired=False)


async def change_rides(driver: "asyncpg.Connection[Any]", rides: Sequence[Ride]) -> None:
    """Keep what became of rides that were there before."""
    rows = [
        (ride.account_id, ride.key, instant(ride.tap.event_time_ms), ride.tap.terminal.number, ride.tap.sequence,
         _encode(ride.before), _rated(ride))
        for ride in rides
    ]  # fmt: skip
    await driver.execute(_CHANGE, *columns(rows))


class Awaited(NamedTuple):
    """An entry that the sweeper has not looked at yet."""

    account_id: int
    tariff_key: str
    event_time: datetime
    terminal: int
    sequence: int


def awaited(entry: Awaited, accounts: Mapping[int, Account]) -> bool:
    """Whether its exit is still awaited."""
    account = accounts.get(entry.account_id)
    assert isinstance(account, HolderAccount)
    return under_way(account.usage.get(entry.tariff_key)) == (entry.terminal, entry.sequence)


async def let_rest(driver: "asyncpg.Connection[Any]", entries: Sequence[Awaited]) -> None:
    """These entries have been looked at."""
    await driver.execute(_LET_REST, *columns(entries))


def _began_ms(state: State) -> int:
    """When the ride that is under way began; 0: none is."""
    journey = state.get(JOURNEY)
    return int(journey[1]) if journey else 0


# The adjustments that a tap caused, as they were stored: by the name that adapters/requests.adjustment gives them.
_CAUSED: Final = f"""
select asked.terminal, asked.sequence, o.body, o.body_digest, o.batch, o.row, (extract(epoch from b.now) * 1000)::bigint,
       {_TERMINAL}
from unnest($1::int[], $2::bigint[]) as asked(terminal, sequence)
join payments.operation o on o.terminal = asked.terminal
    and o.request_id > 'adjust ' || asked.sequence || ' ' and o.request_id < 'adjust ' || asked.sequence || '!'
join payments.batch b on b.number = o.batch
join payments.terminal t on t.id = split_part(o.request_id, ' ', 3)::int
join payments.merchant m on m.id = t.merchant
order by o.batch, o.row"""  # noqa: S608  # constants


async def read_caused(
    driver: "asyncpg.Connection[Any]", causes: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], list[Revised]]:
    """What each of these taps, which are known, has changed."""
    found: dict[tuple[int, int], list[Revised]] = {}
    rows = await driver.fetch(_CAUSED, *columns(causes))
    for cause, sequence, body, digest, batch, row, time_ms, *terminal in rows:
        of = adjustment_of(body)
        revised = Revised(
            _terminal_of(*terminal), of.sequence, digest, of.revision, of.fare_fen, of.charged_fen, batch, row, time_ms
        )  # fmt: skip
        found.setdefault((cause, sequence), []).append(revised)
    return found
