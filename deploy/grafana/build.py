"""Writes the dashboards as Grafana reads them: `python -m deploy.grafana.build`; with `--check` it only says what differs."""

import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.calls import CALLS
from deploy.grafana.cards import CARDS
from deploy.grafana.health import HEALTH
from deploy.grafana.money import MONEY
from deploy.grafana.resources import RESOURCES
from deploy.grafana.taps import TAPS
from deploy.grafana.today import TODAY

DASHBOARDS: Final = {
    "health": HEALTH,
    "taps": TAPS,
    "money": MONEY,
    "cards": CARDS,
    "calls": CALLS,
    "resources": RESOURCES,
    "today": TODAY,
}
FOLDER: Final = Path(__file__).parent / "dashboards"


def texts() -> dict[str, str]:
    """The files, by name."""
    return {f"{name}.json": JSONEncoder(sort_keys=True, indent=2).encode(page) + "\n" for name, page in DASHBOARDS.items()}


def differences(folder: Path = FOLDER) -> list[str]:
    """Names of files that are not what would be written, of those that are missing and of those that are too many."""
    wanted, found = texts(), {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main(arguments: list[str]) -> int:
    """Exit status."""
    if arguments == ["--check"]:
        for name in (different := differences()):
            sys.stderr.write(f"deploy/grafana/dashboards/{name} is not what deploy/grafana builds: make dashboards\n")
        return 1 if different else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
