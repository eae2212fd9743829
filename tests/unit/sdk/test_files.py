import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sdk.merchant.files import CITY_TIME, Line, Rejects, TransactionsFile, UnreadableFileError
from sdk.merchant.transaction import BusRide, CampusEntry, CampusLoan, CampusPurchase, CardForm, RideSide, ScenicEntry

HEADER = "scene,merchant_id,terminal_id,card_identifier,event_time,price_fen,line_id,stop_id,outlet_id,gate_id"
RIDE = "bus,BUS,V-1,CARD1,2026-03-02T07:30:00+08:00,,L1,S1,,"
PURCHASE = "campus,CAMPUS,T-1,CARD2,2026-03-02T12:00:00+08:00,1250,,,SHOP,"
ENTRY = "scenic,SITE,G-1,CARD3,2026-03-02T15:00:00Z,,,,,EAST"
TIME_MS = round(datetime(2026, 3, 2, 7, 30, tzinfo=CITY_TIME).timestamp() * 1000)


def csv_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "taps.csv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def lines_of(path: Path, merchant_id: str | None = None) -> list[Line]:
    with TransactionsFile(path, merchant_id=merchant_id) as file:
        return list(file)


def reasons(path: Path, merchant_id: str | None = None) -> list[str]:
    return [line.reason for line in lines_of(path, merchant_id) if line.tap is None]


def test_csv_rows_become_taps(tmp_path: Path) -> None:
    ride, purchase, entry = (line.tap for line in lines_of(csv_file(tmp_path, RIDE, PURCHASE, ENTRY)))
    assert ride == BusRide(
        merchant_id="BUS", terminal_id="V-1", card_identifier="CARD1", event_time_ms=TIME_MS, line_id="L1", stop_id="S1"
    )
    assert isinstance(purchase, CampusPurchase)
    assert (purchase.price_fen, purchase.outlet_id) == (1250, "SHOP")
    assert isinstance(entry, ScenicEntry)
    assert entry.event_time_ms == TIME_MS + 15.5 * 3_600_000


def test_json_lines_become_the_same_taps(tmp_path: Path) -> None:
    fields = dict(zip(HEADER.split(","), RIDE.split(","), strict=True))
    path = tmp_path / "taps.jsonl"
    path.write_text(json.dumps({name: value for name, value in fields.items() if value}) + "\n\n")
    assert [line.tap for line in lines_of(path)] == [lines_of(csv_file(tmp_path, RIDE))[0].tap]


def test_a_time_without_an_offset_is_the_citys(tmp_path: Path) -> None:
    (line,) = lines_of(csv_file(tmp_path, RIDE.replace("+08:00", "")))
    assert line.tap is not None
    assert line.tap.event_time_ms == TIME_MS


def test_columns_may_come_in_any_order_and_optional_ones_be_missing(tmp_path: Path) -> None:
    header = "event_time,card_identifier,gate_id,terminal_id,scene,terminal_sequence"
    (line,) = lines_of(csv_file(tmp_path, "2026-03-02T15:00:00Z,C,EAST,G-1,scenic,12", header=header), merchant_id="SITE")
    assert line.tap is not None
    assert (line.tap.merchant_id, line.tap.terminal_sequence) == ("SITE", 12)


def test_what_a_tariff_asks_for_can_be_written_down(tmp_path: Path) -> None:
    header = (
        "scene,merchant_id,terminal_id,card_identifier,event_time,line_id,stop_id,vehicle_id,side,riders,door_id,outlet_id,item_id,"
        "returned,gate_id,ticket,card_form"
    )
    common = "M,T,C,2026-03-02T15:00:00Z"
    rows = [
        f"bus,{common},L,S,V,entry,2,,,,,,,electronic",
        f"campus,{common},,,,,,DORM,,,,,,",
        f"campus,{common},,,,,,,LIB,BOOK,true,,,",
        f"scenic,{common},,,,,,,,,,EAST,annual pass,",
    ]
    at: dict[str, Any] = {"merchant_id": "M", "terminal_id": "T", "card_identifier": "C", "event_time_ms": 1_772_463_600_000}
    assert [line.tap for line in lines_of(csv_file(tmp_path, *rows, header=header))] == [
        BusRide(**at, line_id="L", stop_id="S", vehicle_id="V", side=RideSide.ENTRY, riders=2, card_form=CardForm.ELECTRONIC),
        CampusEntry(**at, door_id="DORM"),
        CampusLoan(**at, outlet_id="LIB", item_id="BOOK", returned=True),
        ScenicEntry(**at, gate_id="EAST", ticket="annual pass"),
    ]
    wrong = [
        f"campus,{common},,,,,,DORM,LIB,,,,,",
        f"campus,{common},,,,,,,LIB,BOOK,perhaps,,,",
        f"bus,{common},L,S,V,middle,2,,,,,,,",
        f"bus,{common},L,S,V,,0,,,,,,,",
    ]
    found = reasons(csv_file(tmp_path, *wrong, header=header))
    said = ["outlet_id does not belong to scene campus beside door_id", "returned", "side", "riders must be at least 1"]
    assert all(what in reason for what, reason in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (RIDE.replace(",,L1", ",100,L1"), "price_fen does not belong to scene bus"),
        (PURCHASE.replace("1250", ""), "price_fen is missing"),
        (PURCHASE.replace("1250", "0"), "price_fen must be at least 1"),
        (PURCHASE.replace("1250", "12.50"), "price_fen: Expected int"),
        (RIDE.replace("07:30", "25:30"), "event_time: Invalid RFC3339"),
        (RIDE.replace("bus,", "boat,"), "scene: Invalid enum value 'boat'"),
        (RIDE.replace("CARD1", ""), "missing required field card_identifier"),
        (RIDE.replace("CARD1", "卡1"), "card_identifier must be 1 to 32 visible ASCII"),
        (RIDE.replace("BUS", "", 1), "merchant_id is missing"),
        (RIDE.replace("L1", ""), "line_id is missing"),
        (RIDE + ",more", "11 cells where the header has 10"),
    ],
)
def test_a_bad_row_is_named_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    (found,) = reasons(csv_file(tmp_path, RIDE, row, PURCHASE))
    assert reason in found


def test_bad_json_is_named_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "taps.jsonl"
    path.write_bytes(b'{"scene": "bus"\n[1]\n{"scene": "bus", "price": 1}\n\xff\xfe\n')
    found = lines_of(path)
    assert [line.number for line in found if line.tap is None] == [1, 2, 3, 4]


def test_bytes_that_are_no_text_spoil_their_row_alone(tmp_path: Path) -> None:
    path = csv_file(tmp_path, RIDE, PURCHASE)
    path.write_bytes(path.read_bytes().replace(b"CARD1", b"CARD\xff"))
    first, second = lines_of(path)
    assert "card_identifier" in first.reason
    assert second.tap is not None


def test_another_merchant_is_refused_when_one_is_named(tmp_path: Path) -> None:
    assert reasons(csv_file(tmp_path, RIDE, PURCHASE), "BUS") == ["merchant_id is 'CAMPUS', not 'BUS'"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("scene,terminal_id,card_identifier", "lacks event_time"),
        (HEADER + ",prize_fen", "'prize_fen'"),
        (HEADER + ",scene", "twice"),
        ("", "lacks"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_as_a_whole(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(UnreadableFileError, match=said):
        TransactionsFile(csv_file(tmp_path, RIDE, header=header))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"none\.csv: No such file"):
        TransactionsFile(tmp_path / "none.csv")


def test_a_corrected_rejects_file_can_be_emitted_itself(tmp_path: Path) -> None:
    path = csv_file(tmp_path, RIDE, PURCHASE.replace("1250", "0"))
    with TransactionsFile(path) as file, Rejects(file, go_on=False) as rejects:
        for line in file:
            if line.tap is None:
                rejects.add(line, line.reason)
    kept = rejects.path.read_text()
    assert kept.splitlines()[1].startswith("3,price_fen must be at least 1,campus,CAMPUS")
    rejects.path.write_text(kept.replace(",0,", ",900,"))
    (line,) = lines_of(rejects.path)
    assert isinstance(line.tap, CampusPurchase)
    assert line.tap.price_fen == 900


def test_rejected_json_keeps_its_fields(tmp_path: Path) -> None:
    path = tmp_path / "taps.jsonl"
    path.write_text('{"scene": "bus"}\nnonsense\n')
    with TransactionsFile(path) as file, Rejects(file, go_on=False) as rejects:
        for line in file:
            rejects.add(line, line.reason)
    first, second = (json.loads(line) for line in rejects.path.read_text().splitlines())
    assert (first["scene"], first["reject_line"]) == ("bus", 1)
    assert second["unreadable"] == "nonsense"


def test_no_rejects_leave_no_file_and_remove_an_old_one(tmp_path: Path) -> None:
    path = csv_file(tmp_path, RIDE)
    old = tmp_path / "taps.csv.rejects"
    old.write_text("of yesterday")
    with TransactionsFile(path) as file, Rejects(file, go_on=False):
        pass
    assert not old.exists()


def test_rejects_of_a_run_that_goes_on_are_added(tmp_path: Path) -> None:
    path = csv_file(tmp_path, RIDE + ",more", PURCHASE + ",more")
    for number in range(2):
        with TransactionsFile(path) as file, Rejects(file, go_on=number > 0) as rejects:
            line = list(file)[number]
            rejects.add(line, line.reason)
    assert [row.split(",")[0] for row in rejects.path.read_text().splitlines()] == ["reject_line", "2", "3"]
