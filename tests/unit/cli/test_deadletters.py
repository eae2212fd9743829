"""What `onecard deadletters` understands, before anybody is asked."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import paths
from cli.deadletters import app, parse_age


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list"], "no city runs here"),
        (["list", "--older-than", "12h", "--cause", "unknown-terminal"], "no city runs here"),
        (["list", "--older-than", "soon"], "is no age"),
        (["list", "--cause", "nothing"], "is none of"),
    ],
)
def test_a_question_is_understood_or_refused_in_a_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CITY", tmp_path)
    answered = CliRunner().invoke(app, arguments)
    assert answered.exit_code != 0
    assert isinstance(answered.exception, SystemExit), answered.exception
    assert said in answered.output


def test_an_age_is_a_number_with_its_unit() -> None:
    assert [parse_age(text) for text in ("90m", "12h", "3d")] == [5400, 43_200, 259_200]
    for text in ("12", "h", "1.5h", ""):
        with pytest.raises(typer.BadParameter):
            parse_age(text)
