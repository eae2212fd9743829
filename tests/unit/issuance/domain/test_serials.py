"""Serials as a second person reads them."""

from hypothesis import given
from hypothesis import strategies as st

from services.issuance.domain.blank import Blank, BlankState
from services.issuance.domain.serials import Range, detail_of, ranges_of


def blanks(*serials: str) -> list[Blank]:
    return [Blank(serial, "", "ssc3", "BOX", BlankState.ASSIGNED, "DEPOT") for serial in serials]


def test_what_follows_one_another_is_a_range_and_a_gap_ends_it() -> None:
    found = ranges_of(["B003", "B001", "B002", "B009", "B010", "A-7", "Z", "B011X"])
    assert list(map(str, found)) == ["Z", "A-7", "B001–B003 (3)", "B009–B010 (2)", "B011X"]
    assert ranges_of(["B9", "B10"]) == [Range("B9", "B9", 1), Range("B10", "B10", 1)]


def test_a_second_person_reads_how_many_and_all_of_them() -> None:
    box = blanks(*(f"JM{number:06}" for number in range(1, 5001) if number != 777))
    assert detail_of(box, 4000) == {
        "count": "4999",
        "first": "JM000001",
        "last": "JM005000",
        "serials": "JM000001–JM000776 (776), JM000778–JM005000 (4223)",
    }


def test_what_is_beyond_the_bound_is_counted() -> None:
    told = detail_of(blanks("B1", "B3", "B5", "B7"), 8)
    assert told == {"count": "4", "first": "B1", "last": "B7", "serials": "B1, B3, +2"}


@given(st.sets(st.from_regex(r"[0-9A-C-]{1,4}", fullmatch=True), min_size=1, max_size=60))
def test_every_serial_stands_in_one_range(serials: set[str]) -> None:
    found = ranges_of(serials)
    assert sum(one.count for one in found) == len(serials)
    assert {one.first for one in found} | {one.last for one in found} <= serials
    assert all(any((len(one.first), one.first) <= (len(s), s) <= (len(one.last), one.last) for one in found) for s in serials)
