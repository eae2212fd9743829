import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.merchant import app
from cli.servers.broker import Broker, Kind, make_broker
from tests.integration.sdk.platform import Responder, create_topics

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Known = dict[tuple[str, str, int], bytes]
HEADER = "scene,merchant_id,terminal_id,card_identifier,event_time,price_fen,outlet_id,gate_id,terminal_sequence\n"
PURCHASE = "campus,CAMPUS,T-1,CARD{0},2026-03-02T12:{0:02d}:00,900,SHOP,,\n"


@pytest.fixture
def broker(broker_kind: Kind, tmp_path: Path) -> Iterator[Broker]:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    broker = make_broker(broker_kind, tmp_path / "servers")
    broker.start()
    create_topics(broker)
    yield broker
    broker.stop()
    gc.collect()


@pytest.fixture
def known(broker: Broker) -> Iterator[Known]:
    """What a platform has decided that runs all the while."""
    decided: Known = {}
    with Responder(broker, decided):
        yield decided


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "taps.csv"
    path.write_text(HEADER + "".join(PURCHASE.format(number) for number in range(1, 41)))
    return path


def emit(broker: Broker, file: Path, *options: str) -> Result:
    arguments = ["emit", str(file), "--spool", str(file.with_name("m.spool")), "--kafka", broker.bootstrap, *options]
    return CliRunner().invoke(app, arguments)


def test_a_file_is_emitted_and_answered(broker: Broker, known: Known, file: Path) -> None:
    result = emit(broker, file)
    assert result.exit_code == 0, result.output
    assert "40 taken" in result.output
    assert "posted" in result.output
    assert set(known) == {("CAMPUS", "T-1", number) for number in range(1, 41)}


def test_the_same_file_again_pays_nothing_twice(broker: Broker, known: Known, file: Path) -> None:
    emit(broker, file)
    first = dict(known)
    result = emit(broker, file, "--as-of-now")
    assert result.exit_code == 0, result.output
    assert "0 taken" in result.output
    assert "40 transactions of this file were taken before" in result.output
    assert known == first


def test_what_was_not_answered_is_asked_for_again(broker: Broker, file: Path) -> None:
    result = emit(broker, file, "--patience", "1")
    assert result.exit_code == 1
    assert "40 without an outcome yet" in result.output
    decided: Known = {}
    with Responder(broker, decided):
        assert emit(broker, file).exit_code == 0
    assert len(decided) == 40


def test_bad_lines_are_named_and_kept_and_stop_nothing(broker: Broker, known: Known, file: Path) -> None:
    with file.open("a") as lines:
        lines.write("scenic,SITE,G-1,CARD1,yesterday,,,EAST,\n")
        lines.write("scenic,SITE,G-1,CARD1,2026-03-02T12:00:00,,,EAST,1\n")
        lines.write("scenic,SITE,G-1,CARD2,2026-03-02T12:00:00,,,EAST,1\n")
    result = emit(broker, file)
    assert result.exit_code == 1
    assert "line 42: event_time" in result.output
    assert "line 44: terminal_sequence 1 was used before by another transaction" in result.output
    kept = file.with_name("taps.csv.rejects").read_text().splitlines()
    assert [row.split(",")[0] for row in kept] == ["reject_line", "42", "44"]
    assert len(known) == 41


def test_without_waiting_everything_is_sent_all_the_same(broker: Broker, file: Path) -> None:
    assert emit(broker, file, "--no-wait").exit_code == 0
    decided: Known = {}
    with Responder(broker, decided):
        assert emit(broker, file).exit_code == 0
    assert len(decided) == 40


def test_outcomes_are_shown_and_narrowed_down(broker: Broker, known: Known, file: Path) -> None:
    emit(broker, file)
    spool = ["--spool", str(file.with_name("m.spool"))]
    shown = CliRunner().invoke(app, ["outcomes", *spool, "--limit", "2"])
    assert "posted" in shown.output
    assert "the latest 2" in shown.output
    assert "no such transactions" in CliRunner().invoke(app, ["outcomes", *spool, "--reason", "hotlisted"]).output
    assert CliRunner().invoke(app, ["outcomes", *spool, "--reason", "whim"]).exit_code == 2
    assert CliRunner().invoke(app, ["outcomes", "--spool", str(file)[:-1]]).exit_code == 2
