"""The development authority issues what a strict verifier takes, once, and readable by its owner alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from typer.testing import CliRunner

from cli import authority as authority_module
from cli.authority import Authority, read
from cli.main import app

TERMINAL = "onecard://merchant/bus%2Fcompany/terminal/7"


def load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_a_certificate_names_its_subject_and_its_authority_is_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue(TERMINAL)
    verifier = PolicyBuilder().store(Store([load(authority.certificate)])).build_client_verifier()
    assert verifier.verify(load(issued.certificate), []).subjects == [x509.UniformResourceIdentifier(TERMINAL)]


def test_one_with_hosts_may_serve_and_others_may_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    policy = PolicyBuilder().store(Store([load(authority.certificate)]))
    service = load(authority.issue("onecard://service/payments", hosts=["localhost", "127.0.0.1"]).certificate)
    policy.build_server_verifier(x509.DNSName("localhost")).verify(service, [])
    policy.build_client_verifier().verify(service, [])
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("localhost")).verify(load(authority.issue(TERMINAL).certificate), [])


def test_another_authority_is_not_believed(tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").issue(TERMINAL)
    ours = PolicyBuilder().store(Store([load(Authority(tmp_path / "ours").certificate)])).build_client_verifier()
    with pytest.raises(x509.verification.VerificationError):
        ours.verify(load(stranger.certificate), [])


def test_what_was_issued_is_issued_again_only_when_a_third_of_its_life_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = read(Authority(tmp_path).issue(TERMINAL).certificate).serial
    assert read(Authority(tmp_path).issue(TERMINAL).certificate).serial == serial

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Later":
            return super().now(UTC) + timedelta(days=21)

    monkeypatch.setattr(authority_module, "datetime", Later)
    assert read(Authority(tmp_path).issue(TERMINAL).certificate).serial != serial


def test_other_hosts_or_a_key_that_does_not_fit_ask_for_another_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = read(authority.issue(TERMINAL).certificate).serial
    issued = authority.issue(TERMINAL, hosts=["localhost"])
    second = read(issued.certificate).serial
    issued.key.write_bytes(authority.issue("onecard://merchant/m").key.read_bytes())
    third = read(authority.issue(TERMINAL, hosts=["localhost"]).certificate).serial
    assert len({first, second, third}) == 3


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    authority.issue(TERMINAL)
    keys = list(authority.folder.glob("*.key"))
    assert len(keys) == 2
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert authority.folder.stat().st_mode & 0o777 == 0o700


def test_no_subject_leaves_the_folder_and_no_two_share_a_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    subjects = ["onecard://merchant/..", "onecard://merchant/a/terminal/b", "onecard://merchant/a%2Bterminal%2Bb"]
    subjects.append(f"onecard://merchant/{'%2F' * 64}/terminal/{'%2F' * 64}")
    files = {authority.issue(subject).certificate for subject in subjects}
    assert len(files) == len(subjects)
    assert {file.parent for file in files} == {authority.folder}
    assert [file.name for file in tmp_path.iterdir()] == ["authority"]


def test_the_commands_issue_and_show(tmp_path: Path) -> None:
    run = CliRunner().invoke
    issued = run(app, ["authority", "issue", TERMINAL, "--folder", str(tmp_path)])
    assert issued.exit_code == 0, issued.output
    (certificate,) = tmp_path.glob("merchant*.pem")
    shown = run(app, ["authority", "show", str(certificate)])
    assert TERMINAL in shown.output
    assert read(certificate).serial in issued.output
    assert read(certificate).serial in shown.output


def test_the_commands_say_what_they_cannot_take(tmp_path: Path) -> None:
    run = CliRunner().invoke
    wrong = run(app, ["authority", "issue", "bus-company", "--folder", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "is no subject" in wrong.output
    (tmp_path / "text.pem").write_text("nothing")
    assert run(app, ["authority", "show", str(tmp_path / "text.pem")]).exit_code == 2
