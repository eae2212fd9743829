import json
from pathlib import Path
from typing import Any

from services.common.log_lines import Wanted, find_lines

TAP = ("BUS-1", "BUS-1-T7", 42)


def written(folder: Path, name: str, *lines: dict[str, Any] | str) -> None:
    text = [line if isinstance(line, str) else json.dumps({"process": name, "instance": "h/1", **line}) for line in lines]
    (folder / f"{name}.log").write_text("\n".join(text) + "\n", encoding="utf-8")


def line(event: str, second: int, **facts: Any) -> dict[str, Any]:
    return {"event": event, "timestamp": f"2026-06-01T00:00:{second:02d}.250000Z", **facts}


def events(folder: Path, wanted: Wanted) -> list[tuple[str, str]]:
    return [(found.process, found.event) for found in find_lines([folder], wanted)]


def test_an_id_in_a_message_leads_to_its_call_and_so_to_the_other_service(tmp_path: Path) -> None:
    refused = line("call_refused", 3, asked="fee-7-take", request_id="a1-9")
    written(tmp_path, "payments-api", refused, line("call_refused", 4, request_id="a1-10"))
    written(tmp_path, "card-api", line("payments_away", 2, request_id="a1-9"), line("serving", 1))
    assert events(tmp_path, Wanted(ids=frozenset({"fee-7-take"}))) == [
        ("card-api", "payments_away"),
        ("payments-api", "call_refused"),
    ]


def test_a_tap_is_found_by_its_identity_its_record_and_its_batch(tmp_path: Path) -> None:
    merchant, terminal, sequence = TAP
    written(
        tmp_path,
        "worker",
        line("value_rejected", 1, merchant=merchant, terminal=terminal, sequence=sequence),
        line("value_rejected", 2, merchant=merchant, terminal=terminal, sequence=sequence + 1),
        line("records_missing", 3, topic="transactions.bus", partition=3, offset=17),
        line("records_missing", 4, topic="transactions.bus", partition=4, offset=17),
        line("batches_posted", 5, batches=[[1, 4], [9, 12]], records={"transactions.bus/3": [1, 16]}),
        line("batches_posted", 6, batches=[[5, 8]], records={"transactions.bus/3": [17, 20]}),
        line("batches_posted", 7, batches=[[13, 13]], records={}),
    )
    found = find_lines([tmp_path], Wanted(taps=frozenset({TAP})))
    assert [one.time_ms % 60_000 for one in found] == [1250]
    place = frozenset({("transactions.bus", 3, 17)})
    assert [one.time_ms % 60_000 for one in find_lines([tmp_path], Wanted(places=place))] == [3250, 6250]
    assert [one.time_ms % 60_000 for one in find_lines([tmp_path], Wanted(batches=frozenset({10})))] == [5250]


def test_what_is_no_line_of_ours_is_passed_over(tmp_path: Path) -> None:
    written(tmp_path, "any", "Traceback (most recent call last):", "{broken", '{"no": "event"}', "[1]", '{"event": 3}')
    odd = line("batches_posted", 1, batches=[[1], "x", None], records=[4])
    written(tmp_path, "odd", odd, {"event": "x", "timestamp": "never", "request_id": "r"})
    assert find_lines([tmp_path], Wanted(batches=frozenset({1}), places=frozenset({("t", 0, 0)}))) == []
    assert [one.time_ms for one in find_lines([tmp_path], Wanted(ids=frozenset({"r"})))] == [0]
