"""A terminal's hotlist: it only goes forward, loses no card, survives power cuts, and heals by a snapshot."""

import logging
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard.card.v1.hotlist_pb2 import HotlistUpdate
from sdk.merchant.hotlist import Hotlist, Look, Policy, WhenOld
from sdk.merchant.hotlist_file import HotlistFileError
from sdk.merchant.hotlist_update import NOTHING, Assembly, Step, Version

CARDS = [f"440700D1{number:024X}" for number in range(12)]
History = list[frozenset[str]]
"""Which cards stand on each version, from 0, on which none does."""
histories = st.lists(st.frozensets(st.sampled_from(CARDS)), min_size=1, max_size=8).map(lambda later: [frozenset(), *later])


def updates(
    history: History, start: int, end: int, *, epoch: int = 1, size: int = 3, complete_ms: int = 1_000
) -> list[HotlistUpdate]:
    """The way between two versions in chunks, as the card service cuts it; from 0 it is a snapshot."""
    before, after = history[start], history[end]
    changed = sorted(before ^ after) if start else sorted(after)
    chunks = [changed[first : first + size] for first in range(0, len(changed), size)] or [[]]
    return [
        HotlistUpdate(
            epoch=epoch,
            version=end,
            from_version=start,
            publish_time_ms=end,
            added=[card for card in chunk if card in after],
            removed=[card for card in chunk if card not in after],
            chunk=number,
            chunks=len(chunks),
            complete_time_ms=complete_ms,
        )
        for number, chunk in enumerate(chunks)
    ]


def take(hotlist: Hotlist, chunks: list[HotlistUpdate]) -> Step:
    return [hotlist.take(chunk) for chunk in chunks][-1]


@pytest.fixture
def hotlist(tmp_path: Path) -> Hotlist:
    return Hotlist(tmp_path / "hotlist")


@given(histories, st.data())
def test_a_delta_from_any_older_version_equals_the_snapshot(history: History, data: st.DataObject) -> None:
    newest = len(history) - 1
    older = data.draw(st.integers(0, newest - 1))
    size = data.draw(st.integers(1, 5))
    assembly = Assembly()
    chunks = updates(history, older, newest, size=size)
    found = [assembly.add(chunk) for chunk in data.draw(st.permutations(chunks))]
    update = found[-1]
    assert found[:-1] == [None] * (len(chunks) - 1)
    assert update is not None
    assert update.is_for(Version(1, older)) is Step.APPLIED or older == 0
    assert update.applied_to(history[older]) == history[newest]


@settings(max_examples=60)
@given(histories, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_whatever_comes_in_whatever_order_the_list_is_one_that_was_published_and_only_goes_forward(
    history: History, came: list[tuple[int, int]]
) -> None:
    assembly, has, listed = Assembly(), NOTHING, history[0]
    for one, other in came:
        start, end = sorted((one % len(history), other % len(history)))
        for chunk in updates(history, start, end, size=2):
            update = assembly.add(chunk)
            if update and update.is_for(has) is Step.APPLIED:
                assert update.to > has
                has, listed = update.to, update.applied_to(listed)
        assert listed == history[has.version]
    last = len(history) - 1
    (snapshot,) = filter(None, [assembly.add(chunk) for chunk in updates(history, 0, last, size=2)])
    assert snapshot.is_for(has) is Step.APPLIED or has.version == last


@settings(max_examples=30)
@given(histories)
def test_two_publishers_who_speak_at_once_are_heard_as_one(history: History) -> None:
    road = [chunk for start, end in pairwise(range(len(history))) for chunk in updates(history, start, end, size=2)]
    twice = [chunk for index, chunk in enumerate(road) for chunk in (chunk, road[max(0, index - 1)])]
    assembly, has, listed = Assembly(), NOTHING, history[0]
    for chunk in twice:
        update = assembly.add(chunk)
        if update and update.is_for(has) is Step.APPLIED:
            has, listed = update.to, update.applied_to(listed)
    assert (has, listed) == (Version(1, len(history) - 1), history[-1])


def test_a_stale_update_that_arrives_late_does_not_lock_a_released_card_again(hotlist: Hotlist) -> None:
    """Known fault 9."""
    history = [frozenset[str](), frozenset(CARDS[:2]), frozenset(CARDS[:1])]
    assert take(hotlist, updates(history, 0, 1)) is Step.APPLIED
    assert take(hotlist, updates(history, 1, 2)) is Step.APPLIED
    assert not hotlist.is_listed(CARDS[1])
    for stale in (updates(history, 0, 1), updates(history, 0, 1, epoch=0)):
        assert take(hotlist, stale) is Step.STALE
    assert take(hotlist, updates(history, 1, 2)) is Step.CURRENT
    assert (hotlist.version, hotlist.cards()) == (Version(1, 2), history[2])


def test_a_hole_is_seen_and_heals_by_a_snapshot(hotlist: Hotlist) -> None:
    history = [frozenset(CARDS[:number]) for number in range(5)]
    take(hotlist, updates(history, 0, 1))
    assert take(hotlist, updates(history, 2, 3)) is Step.HOLE
    assert hotlist.cards() == history[1]
    assert take(hotlist, updates(history, 0, 3)) is Step.APPLIED
    assert take(hotlist, updates(history, 3, 4)) is Step.APPLIED
    assert hotlist.cards() == history[4]


def test_a_restored_platform_replaces_the_list_though_its_versions_are_lower(hotlist: Hotlist) -> None:
    history = [frozenset(CARDS[:number]) for number in range(9)]
    take(hotlist, updates(history, 0, 8))
    assert take(hotlist, updates(history, 2, 3, epoch=2)) is Step.HOLE
    assert take(hotlist, updates(history, 0, 3, epoch=2)) is Step.APPLIED
    assert (hotlist.version, hotlist.cards()) == (Version(2, 3), history[3])
    assert take(hotlist, updates(history, 0, 8)) is Step.STALE


def test_half_of_an_update_changes_nothing_and_what_is_none_is_not_believed(hotlist: Hotlist) -> None:
    history = [frozenset[str](), frozenset(CARDS)]
    first, *_ = updates(history, 0, 1)
    assert hotlist.take(first) is Step.UNFINISHED
    assert (hotlist.version, hotlist.entries) == (NOTHING, 0)
    assert hotlist.take(HotlistUpdate(epoch=1, version=1)) is Step.HOLE
    assert hotlist.take(HotlistUpdate(epoch=1, version=1, from_version=2, chunks=1)) is Step.HOLE


def test_the_list_is_there_again_after_a_restart_and_old_lists_are_the_terminals_choice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = [frozenset[str](), frozenset(CARDS[:1])]
    with Hotlist(tmp_path / "hotlist") as before:
        assert before.age_seconds == float("inf")
        take(before, updates(history, 0, 1, complete_ms=1_000_000))
        take(before, updates(history, 1, 1, complete_ms=2_000_000))  # nothing has changed, and that is known
        take(before, updates(history, 1, 1, complete_ms=1_500_000))
    policy = Policy(oldest_seconds=60)
    with Hotlist(tmp_path / "hotlist", policy, clock=lambda: 2_030.0) as fresh:
        assert (fresh.version, fresh.entries, fresh.age_seconds) == (Version(1, 1), 1, 30)
        assert [fresh.look(card) for card in CARDS[:2]] == [Look.LISTED, Look.CLEAR]
        assert fresh.looks_when_old == 0
    with Hotlist(tmp_path / "hotlist", policy, clock=lambda: 9_000.0) as old, caplog.at_level(logging.WARNING):
        assert [old.look(card) for card in CARDS[:3]] == [Look.LISTED, Look.CLEAR, Look.CLEAR]
        assert old.looks_when_old == 2
        assert [record.getMessage().count("hours old") for record in caplog.records] == [1]
    refusing = Policy(oldest_seconds=60, when_old=WhenOld.REFUSE)
    with Hotlist(tmp_path / "hotlist", refusing, clock=lambda: 9_000.0) as strict:
        assert [strict.look(card) for card in CARDS[:2]] == [Look.LISTED, Look.TOO_OLD]


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "hotlist").write_bytes(b"no list at all, and longer than a header of a file of that kind would be" * 20)
    with pytest.raises(HotlistFileError, match="fetched again"):
        Hotlist(tmp_path / "hotlist")


WRITER = """
import sys
from pathlib import Path
from onecard.card.v1.hotlist_pb2 import HotlistUpdate
from sdk.merchant.hotlist import Hotlist
hotlist = Hotlist(Path(sys.argv[1]))
version = hotlist.version.version
while True:
    version += 1
    cards = [f"{version}-{number}" for number in range(3000)]
    hotlist.take(HotlistUpdate(epoch=1, version=version, added=cards, chunks=1, complete_time_ms=1))
    print(version, flush=True)
"""


def test_a_power_cut_leaves_one_whole_list_never_older_than_what_was_taken(tmp_path: Path) -> None:
    path, taken = tmp_path / "hotlist", 0
    for cut in range(4):
        child = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(2):
            taken = int(child.stdout.readline())
        time.sleep(0.004 * cut)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().split("\n")[:-1]
        child.wait()
        child.stdout.close()
        taken = int(rest[-1]) if rest else taken
        with Hotlist(path) as found:
            version = found.version.version
            assert version >= taken
            assert found.cards() == {f"{version}-{number}" for number in range(3000)}
            assert found.entries == 3000


def test_a_hundred_thousand_cards_are_opened_in_milliseconds_and_looked_up_in_microseconds(tmp_path: Path) -> None:
    cards = [f"440700D1{number:024X}" for number in range(100_000)]
    with Hotlist(tmp_path / "hotlist") as hotlist:
        for number in range(20):
            some = cards[number * 5_000 : (number + 1) * 5_000]
            hotlist.take(HotlistUpdate(epoch=1, version=1, added=some, chunk=number, chunks=20, complete_time_ms=1))
    began = time.perf_counter()
    with Hotlist(tmp_path / "hotlist") as hotlist:
        opened = time.perf_counter() - began
        began = time.perf_counter()
        assert all(hotlist.is_listed(card) for card in cards[::10])
        look = (time.perf_counter() - began) / 10_000
        assert hotlist.cards() == frozenset(cards)
    assert opened < 0.25  # milliseconds, on a machine that is busy with something else
    assert look < 0.0005
