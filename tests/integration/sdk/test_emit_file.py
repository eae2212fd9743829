import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.merchant import app
from cli.servers.broker import Broker, Kind, make_broker
from tests.integration.sdk.platform import Responder, create_topics, eventually
from tests.support.outcome_api import OutcomeApi
from tests.support.outcomes import UNREGISTERED

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
def api(broker: Broker, tmp_path: Path) -> Iterator[OutcomeApi]:
    with OutcomeApi(tmp_path / "servers", broker) as api:
        api.wait()
        yield api


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


def emit(broker: Broker, api: OutcomeApi, file: Path, *options: str) -> Result:
    platform = ["--kafka", broker.bootstrap, "--api", api.access.address]
    return CliRunner().invoke(app, ["emit", str(file), "--spool", str(file.with_name("m.spool")), *platform, *options])


def outcomes(api: OutcomeApi, file: Path, *options: str) -> Result:
    spool = ["--spool", str(file.with_name("m.spool"))]
    return CliRunner().invoke(app, ["outcomes", *spool, "--api", api.access.address, *options])


def test_a_file_is_emitted_and_answered(broker: Broker, api: OutcomeApi, known: Known, file: Path) -> None:
    result = emit(broker, api, file)
    assert result.exit_code == 0, result.output
    assert "40 taken" in result.output
    assert "posted" in result.output
    assert set(known) == {("CAMPUS", "T-1", number) for number in range(1, 41)}


def test_the_same_file_again_pays_nothing_twice(broker: Broker, api: OutcomeApi, known: Known, file: Path) -> None:
    emit(broker, api, file)
    first = dict(known)
    result = emit(broker, api, file, "--as-of-now")
    assert result.exit_code == 0, result.output
    assert "0 taken" in result.output
    assert "40 transactions of this file were taken before" in result.output
    assert known == first


def test_what_was_not_answered_is_asked_for_again(broker: Broker, api: OutcomeApi, file: Path) -> None:
    result = emit(broker, api, file, "--patience", "1")
    assert result.exit_code == 1
    assert "40 without an outcome yet" in result.output
    decided: Known = {}
    with Responder(broker, decided):
        assert emit(broker, api, file).exit_code == 0
    assert len(decided) == 40


def test_bad_lines_are_named_and_kept_and_stop_nothing(broker: Broker, api: OutcomeApi, known: Known, file: Path) -> None:
    with file.open("a") as lines:
        lines.write("scenic,SITE,G-1,CARD1,yesterday,,,EAST,\n")
        lines.write("scenic,SITE,G-1,CARD1,2026-03-02T12:00:00,,,EAST,1\n")
        lines.write("scenic,SITE,G-1,CARD2,2026-03-02T12:00:00,,,EAST,1\n")
    result = emit(broker, api, file)
    assert result.exit_code == 1
    assert "line 42: event_time" in result.output
    assert "line 44: terminal_sequence 1 was used before by another transaction" in result.output
    kept = file.with_name("taps.csv.rejects").read_text().splitlines()
    assert [row.split(",")[0] for row in kept] == ["reject_line", "42", "44"]
    assert len(known) == 41


def test_lines_of_a_terminal_that_is_given_no_keys_are_kept(broker: Broker, api: OutcomeApi, known: Known, file: Path) -> None:
    with file.open("a") as lines:
        lines.write(f"scenic,SITE,{UNREGISTERED},CARD1,2026-03-02T12:00:00,,,EAST,\n")
    result = emit(broker, api, file)
    assert result.exit_code == 1
    assert f"line 42: {UNREGISTERED} has no key to sign with" in result.output
    assert len(known) == 40


def test_without_the_api_nothing_can_be_signed_for_the_first_time(broker: Broker, api: OutcomeApi, file: Path) -> None:
    api.kill()
    result = emit(broker, api, file)
    assert result.exit_code == 2
    assert "nobody gave T-1 a key to sign with" in result.output


def test_what_came_while_nobody_waited_is_shown(broker: Broker, api: OutcomeApi, file: Path) -> None:
    assert emit(broker, api, file, "--no-wait").exit_code == 0
    assert "no outcome yet" in outcomes(api, file).output
    decided: Known = {}
    with Responder(broker, decided) as platform:
        assert eventually(lambda: len(decided) == 40)
        assert eventually(lambda: "no outcome yet" not in outcomes(api, file).output)
        shown = outcomes(api, file)
        assert set(platform.received.values()) == {1}, "it heard, and sent nothing"
    assert "posted" in shown.output


def test_what_was_sent_without_waiting_may_be_waited_for(broker: Broker, api: OutcomeApi, file: Path) -> None:
    assert emit(broker, api, file, "--no-wait").exit_code == 0
    decided: Known = {}
    with Responder(broker, decided):
        assert emit(broker, api, file).exit_code == 0
    assert len(decided) == 40


def test_outcomes_are_shown_and_narrowed_down(broker: Broker, api: OutcomeApi, known: Known, file: Path) -> None:
    emit(broker, api, file)
    shown = outcomes(api, file, "--limit", "2")
    assert "posted" in shown.output
    assert "the latest 2" in shown.output
    assert "no such transactions" in outcomes(api, file, "--reason", "hotlisted").output
    assert outcomes(api, file, "--reason", "whim").exit_code == 2
    assert outcomes(api, file.with_name("none") / "taps.csv").exit_code == 2


def test_elsewhere_there_must_be_certificates(broker: Broker, file: Path) -> None:
    arguments = ["emit", str(file), "--spool", str(file.with_name("m.spool")), "--kafka", broker.bootstrap]
    result = CliRunner().invoke(app, [*arguments, "--api", "payments.example:443"])
    assert result.exit_code == 2
    assert "certificates" in result.output
