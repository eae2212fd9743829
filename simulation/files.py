"""The city as files: who is registered, and which accounts are opened with how much."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from simulation.city import CITY_HALL, KIOSK, KITS, MERCHANTS, WINDOWS
from simulation.riders import RESERVE, rider


def write_files(cards: int, folder: Path) -> list[Path]:
    """`registry.jsonl`: a merchant a line; `accounts.csv`: the riders' accounts and those of cards issued later."""
    folder.mkdir(parents=True, exist_ok=True)
    registry, accounts = folder / "registry.jsonl", folder / "accounts.csv"
    with registry.open("w", encoding="utf-8") as file:
        for merchant in MERCHANTS:
            file.write(_line(merchant.merchant_id, merchant.scene.value, merchant.terminals))
        file.write(_line(CITY_HALL, "office", [*WINDOWS, *KITS, KIOSK]))
    with accounts.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["account_id", "opening_fen"])
        for number in range(1, cards + RESERVE + 1):
            person = rider(number)
            rows.writerow([person.account_id, person.opening_fen])
    return [registry, accounts]


def _line(merchant_id: str, scene: str, terminals: list[str]) -> str:
    return json.dumps({"merchant_id": merchant_id, "scene": scene, "terminals": terminals}) + "\n"
