"""Counts by period, and whereabouts: what they keep, forget and begin again with."""

from services.payments.domain.whereabouts import Seen, Whereabouts
from services.payments.domain.windows import Windows


def test_a_count_is_kept_once_however_often_it_was_counted() -> None:
    windows = Windows()
    assert [windows.add(7, "L 1"), windows.add(7, "L 1", 4), windows.add(8, "L 1")] == [0, 1, 0]
    assert windows.of(7) == {"L 1": 5}
    assert windows.of(9) == {}
    assert sorted(windows.changes()) == [("7 L 1", "5"), ("8 L 1", "1")]
    assert list(windows.changes()) == []


def test_what_was_kept_is_what_it_begins_with() -> None:
    windows, later = Windows(), Windows()
    windows.add(7, "L 1", 5)
    windows.add(8, "", 2)
    later.add(9, "lost")
    later.restore({key: value for key, value in windows.changes() if value is not None})
    assert (later.of(7), later.of(8), later.of(9)) == ({"L 1": 5}, {"": 2}, {})
    assert list(later.changes()) == []
    assert later.add(7, "L 1") == 5


def test_what_is_forgotten_is_dropped_from_what_was_kept() -> None:
    windows = Windows()
    windows.add(7, "L1")
    windows.add(8, "L1")
    list(windows.changes())
    windows.forget_before(8)
    assert (windows.of(7), windows.of(8)) == ({}, {"L1": 1})
    assert list(windows.changes()) == [("7 L1", None)]


def test_a_count_that_is_not_worth_it_is_neither_kept_nor_dropped() -> None:
    windows = Windows(worth_keeping=3)
    windows.add(7, "rare", 2)
    windows.add(7, "often", 3)
    assert list(windows.changes()) == [("7 often", "3")]
    windows.forget_before(8)
    assert list(windows.changes()) == [("7 often", None)]


def test_a_card_is_where_its_newest_tap_was_whichever_was_told_first() -> None:
    whereabouts = Whereabouts()
    assert whereabouts.see("c", Seen(200, "A")) is None
    assert whereabouts.see("c", Seen(100, "B")) == Seen(200, "A")
    assert whereabouts.see("c", Seen(300, "C")) == Seen(200, "A")


def test_whereabouts_are_kept_by_pages_and_forgotten_with_them() -> None:
    whereabouts, later = Whereabouts(), Whereabouts()
    kept: dict[str, str] = {}
    for at, card, merchant in ((100, "c", "A"), (100, "d", "A"), (200, "c", "B")):
        whereabouts.see(card, Seen(at, merchant))
        kept |= {key: value for key, value in whereabouts.changes() if value is not None}
    assert len(kept) == 3
    later.restore(kept)
    assert list(later.changes()) == []
    later.forget_before(150)
    assert sorted(later.changes()) == [("0", None), ("1", None)]
    assert later.see("d", Seen(300, "A")) is None
    assert later.see("c", Seen(300, "A")) == Seen(200, "B")
    assert [key for key, _ in later.changes()] == ["3"], "the number of a page is never used again"


def test_a_page_never_grows_beyond_what_a_message_may_hold() -> None:
    whereabouts = Whereabouts()
    for card in range(8001):
        whereabouts.see(f"{card:032x}", Seen(1_800_000_000_000, "M" * 64))
    pages = [value for _, value in whereabouts.changes() if value is not None]
    assert len(pages) == 3
    assert max(map(len, pages)) < 500_000
