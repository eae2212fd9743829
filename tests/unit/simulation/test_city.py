import csv
import json
from collections import Counter
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from onecard.card.v1.card_events_pb2 import CARD_STATUS_CANCELLED, CARD_STATUS_FORMALLY_LOST, CARD_STATUS_NORMAL
from sdk.merchant.files import TransactionsFile
from sdk.merchant.transaction import BusRide, CampusPurchase, Scene, ScenicEntry, identity_of
from simulation.city import HANDHELD, MERCHANTS, SPARE
from simulation.example import write_example
from simulation.files import write_files
from simulation.habits import Life
from simulation.happenings import LOSS_EVERY_MS, NEWCOMER_EVERY_MS, losses, newcomers
from simulation.registry import changes, first_state, states_of_loss
from simulation.riders import FIRST_ACCOUNT, RESERVE, card_identifier, rider
from simulation.vandal import Fault, make_bad, sign_bad, undecodable
from tests.support.terminal_keys import key_of, sign

NOW_MS = 1_800_000_000_000
REPOSITORY = Path(__file__).parents[3]


def test_riders_are_of_all_ages_and_the_same_every_time() -> None:
    ages = Counter(rider(number).age for number in range(1, 20_001))
    assert (min(ages), max(ages)) == (6, 95)
    assert set(ages) == set(range(6, 96))
    known = rider(12_345)
    assert (known.birth_date, known.category, known.resident, known.line) == (date(2007, 5, 19), "student", False, 12)


def test_every_terminal_is_named_once() -> None:
    assert len({merchant.merchant_id for merchant in MERCHANTS}) == len(MERCHANTS)
    for merchant in MERCHANTS:
        assert len(set(merchant.terminals)) == len(merchant.terminals)
        assert {HANDHELD, SPARE} <= set(merchant.terminals)


def test_files_name_merchants_and_open_accounts_also_for_cards_issued_later(tmp_path: Path) -> None:
    registry, accounts = write_files(50, tmp_path / "seed")
    lines = [json.loads(line) for line in registry.read_text().splitlines()]
    assert {line["scene"] for line in lines} == {scene.value for scene in Scene} | {"office"}
    rows = list(csv.DictReader(accounts.read_text().splitlines()))
    assert [int(row["account_id"]) for row in rows] == [FIRST_ACCOUNT + number for number in range(1, 50 + RESERVE + 1)]
    assert all(int(row["opening_fen"]) >= 1 for row in rows)


def test_everybody_has_a_turn_before_anybody_has_a_second() -> None:
    life = Life(300, Random(1))
    first = {life.next_tap(NOW_MS).card_identifier for _ in range(300)}
    assert len(first) == 300


def test_people_ride_eat_and_visit_at_registered_terminals() -> None:
    life = Life(2000, Random(1))
    taps = [life.next_tap(NOW_MS) for _ in range(2000)]
    assert {type(tap) for tap in taps} == {BusRide, CampusPurchase, ScenicEntry}
    registered = {(merchant.merchant_id, terminal) for merchant in MERCHANTS for terminal in merchant.terminals}
    assert {(tap.merchant_id, tap.terminal_id) for tap in taps} <= registered


def test_who_has_no_card_does_not_tap_until_there_is_another() -> None:
    life = Life(3, Random(1))
    life.lose(2)
    assert {life.next_tap(NOW_MS).card_identifier for _ in range(6)} == {card_identifier(1), card_identifier(3)}
    life.replace(2, card_identifier(2, 7))
    assert card_identifier(2, 7) in {life.next_tap(NOW_MS).card_identifier for _ in range(3)}


def test_a_newcomers_card_is_tapped_before_it_is_published() -> None:
    coming = list(newcomers(100, NOW_MS, NOW_MS + 10 * NEWCOMER_EVERY_MS))
    assert all(100 < one.number <= 100 + RESERVE for one in coming)
    assert all(one.tap_ms < one.publish_ms for one in coming)


def test_a_lost_card_is_reported_listed_and_replaced() -> None:
    loss = next(losses(100, NOW_MS, NOW_MS))
    reported, listed, cancelled, successor = [state for _, state in states_of_loss(loss)]
    assert [period.status for period in cancelled.status_periods] == [
        CARD_STATUS_NORMAL,
        CARD_STATUS_FORMALLY_LOST,
        CARD_STATUS_CANCELLED,
    ]
    assert reported.status_periods[-1].hotlist_published_ms == 0
    assert listed.status_periods[-1].hotlist_published_ms == loss.hotlist_ms
    assert cancelled.successor_card_identifier == successor.card_identifier
    assert successor.account_id == cancelled.account_id
    versions = [first_state(loss.number).version, reported.version, listed.version, cancelled.version]
    assert all(earlier < later for earlier, later in pairwise(versions))


def test_nothing_that_happens_is_published_twice_or_left_out() -> None:
    until_ms = NOW_MS + 5 * LOSS_EVERY_MS
    at_once = [state.SerializeToString() for state in changes(100, NOW_MS, until_ms)]
    steps = range(NOW_MS, until_ms, 1000)
    bit_by_bit = [state.SerializeToString() for at in steps for state in changes(100, at, at + 1000)]
    assert sorted(at_once) == sorted(bit_by_bit)
    assert len(set(at_once)) == len(at_once) > 20


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.UNDECODABLE, Fault.SENT_TWICE)])
def test_bad_transactions_have_an_identity_of_their_own(fault: Fault) -> None:
    victim = sign(Life(10, Random(1)).ride(card_identifier(1), rider(1), NOW_MS), 77)
    bad = make_bad(fault, 3, NOW_MS, victim)
    record = sign_bad(bad, bad.terminal_sequence or 1, key_of(bad.merchant_id, bad.terminal_id))
    found = identity_of(record.record)
    assert found == (record.merchant_id, record.terminal_id, record.terminal_sequence, record.digest)
    assert (found[:3] == victim[:3]) == (fault is Fault.IDENTITY_REUSED)
    assert record.digest != victim.digest


def test_noise_has_no_identity() -> None:
    chance = Random(1)
    noise = [undecodable(chance) for _ in range(200)]
    assert all(identity_of(record) is None for record in noise)
    assert len({sha256(record).digest() for record in noise}) == 200


def test_the_example_in_the_repository_is_what_the_simulation_writes(tmp_path: Path) -> None:
    kept = REPOSITORY / "docs" / "examples" / "taps.csv"
    with TransactionsFile(kept) as file:
        taps = [line.tap for line in file]
    assert len(taps) == 3000
    assert None not in taps
    write_example(tmp_path / "taps.csv", 3000)
    assert (tmp_path / "taps.csv").read_bytes() == kept.read_bytes()
