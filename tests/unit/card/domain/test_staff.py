"""Rights of the staff."""

from pathlib import Path

from services.card.domain.staff import RIGHTS, Right

CARD = Path(__file__).parents[4] / "services" / "card"


def test_every_right_is_somebodys_and_is_asked_for_somewhere() -> None:
    assert set(RIGHTS) == set(Right)
    asking = "".join(file.read_text(encoding="utf-8") for part in ("api", "handlers") for file in (CARD / part).glob("*.py"))
    assert [right.name for right in Right if f"Right.{right.name}" not in asking] == []
