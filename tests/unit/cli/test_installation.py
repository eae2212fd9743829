"""What an installation in containers keeps secret, held against the compose file that reads it."""

import json
import re
from pathlib import Path
from stat import S_IMODE

import pytest

from cli.authority import read
from cli.installation import prepare

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("installation") / "secrets"
    prepare(made)
    return made


def test_there_is_a_file_for_every_container_that_reads_one_and_no_other(folder: Path) -> None:
    read_there = set(re.findall(r"\.compose\}/([a-z-]+)\.env", COMPOSE))
    assert {file.stem for file in folder.glob("*.env")} == read_there


def test_whoever_can_read_its_password_from_a_file_does(folder: Path) -> None:
    for reader, variable in (("postgres", "POSTGRES_PASSWORD"), ("grafana", "GF_SECURITY_ADMIN_PASSWORD")):
        assert f".compose}}/{reader}:/secrets:ro" in COMPOSE
        assert re.search(rf"^      {variable}_{{1,2}}FILE: /secrets/password$", COMPOSE, re.MULTILINE)
        assert (folder / reader / "password").read_text() == json.loads((folder / "secrets.json").read_text())[reader]
        assert not re.search(rf"\b{variable}[:=]", COMPOSE)


def test_every_service_is_known_by_the_name_under_which_others_ask_for_it(folder: Path) -> None:
    for service in re.findall(r"\.compose\}/tls/([a-z]+):", COMPOSE):
        shown = read(folder / "tls" / service / "tls.crt")
        assert shown.subject == f"onecard://service/{service}"
        assert f"{service}-api" in shown.hosts
        assert re.search(rf"^  {service}-api:$", COMPOSE, re.MULTILINE)


def test_every_user_of_kafka_has_a_certificate_and_the_administrator_s_is_shown_to_two_jobs_alone(folder: Path) -> None:
    mounted = re.findall(r"\.compose\}/kafka/([a-z-]+):", COMPOSE)
    assert set(mounted) == {file.parent.name for file in folder.glob("kafka/*/tls.crt")}
    for user in mounted:
        assert read(folder / "kafka" / user / "tls.crt").subject == f"onecard://service/{user}"
    shown = re.findall(r"^  (\S+):\n(?:(?!^  \S).*\n)*?    volumes: [&*]kafka-admin", COMPOSE, re.MULTILINE)
    assert shown == ["topics", "simulation-rights"]
    assert COMPOSE.count("kafka-admin:") == 1


def test_the_broker_finds_its_key_and_certificate_in_one_file(folder: Path) -> None:
    broker = folder / "kafka" / "kafka-broker"
    assert (broker / "keystore.pem").read_bytes() == (broker / "tls.key").read_bytes() + (broker / "tls.crt").read_bytes()
    assert "kafka" in read(broker / "tls.crt").hosts


def test_nobody_taps_with_the_certificate_of_an_operator(folder: Path) -> None:
    assert {file.stem for file in folder.glob("operators/*.crt")} == {"service+operator-1", "service+operator-2", "authority"}
    assert not list((folder / "certificates").glob("service+*"))


def test_nobody_but_the_owner_enters_and_containers_read_what_is_theirs(folder: Path) -> None:
    assert S_IMODE(folder.stat().st_mode) == 0o700
    assert {S_IMODE(file.stat().st_mode) for file in folder.glob("*.env")} == {0o600}
    assert {S_IMODE(file.stat().st_mode) for file in (folder / "tls").rglob("*") if file.is_file()} == {0o644}
    assert {S_IMODE(file.stat().st_mode) for file in (folder / "kafka").rglob("*") if file.is_file()} == {0o644}
    assert S_IMODE((folder / "authority").stat().st_mode) == 0o700


def test_a_second_time_changes_nothing(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    prepare(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_no_two_secrets_are_the_same_and_each_is_told_to_somebody(folder: Path) -> None:
    drawn = list(json.loads((folder / "secrets.json").read_text()).values())
    told = "".join(file.read_text() for file in (*folder.glob("*.env"), *folder.glob("*/password")))
    assert len(set(drawn)) == len(drawn)
    assert all(secret in told for secret in drawn)


def test_the_vaults_second_pins_are_told_to_the_jobs_that_make_them_alone(folder: Path) -> None:
    secrets = json.loads((folder / "secrets.json").read_text())
    for file in folder.glob("*.env"):
        assert any(secrets[name] in file.read_text() for name in secrets if name.endswith("-administrator")) == (
            file.stem.endswith("-administrator")
        )
    services = re.findall(r"^  (\S+):\n(?:(?!^  \S).*\n)*?.*-administrator\.env", COMPOSE, re.MULTILINE)
    assert services == ["payments-vault-create", "card-vault-create", "issuance-vault-create", "chip-vault-create"]
