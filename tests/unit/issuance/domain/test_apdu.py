"""Commands as bytes, and what their answers mean."""

import pytest

from services.issuance.domain import apdu
from services.issuance.domain.apdu import Command, Response


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (apdu.select_application("sx1.sh.社会保障".encode("gbk")), "00A404000F7378312E73682EC9E7BBE1B1A3D5CF"),
        (apdu.select_file(0xEF05), "00A4000002EF05"),
        (apdu.read_record(7, 11), "00B207040B"),
        (apdu.update_record(4, b"\x0a\x012"), "00DC0404030A0132"),
        (apdu.get_challenge(16), "0084000010"),
        (apdu.get_response(8), "00C0000008"),
        (apdu.external_authenticate(0x0A, bytes(16)), "0082000A10" + "00" * 16),
        (apdu.internal_authenticate(0x01, bytes(8)), "0088000108" + "00" * 8),
        (apdu.protected(bytes.fromhex("84D4010024"), bytes(36)), "84D4010024" + "00" * 36),
    ],
)
def test_commands_have_their_published_bytes(command: Command, expected: str) -> None:
    assert command.apdu == bytes.fromhex(expected)


def test_a_short_apdu_carries_no_more_than_255_bytes() -> None:
    with pytest.raises(ValueError, match="255"):
        apdu.update_record(1, bytes(256))


def test_status_words_may_stand_for_all_of_their_first_byte() -> None:
    command = Command(b"", (0x9000, 0x6100))
    assert command.expects(Response(b"", 0x9000))
    assert command.expects(Response(b"", 0x6110))
    assert not command.expects(Response(b"", 0x6C10))
    assert not Command(b"", (0x9000,)).expects(Response(b"", 0x9001))


@pytest.mark.parametrize(("status", "left"), [(0x63C3, 3), (0x63C0, 0), (0x6983, 0), (0x9000, None), (0x6300, None)])
def test_tries_that_are_left(status: int, left: int | None) -> None:
    assert Response(b"", status).tries_left == left


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0x9000, "9000 done"),
        (0x63C2, "63C2 authentication failed, so many tries are left"),
        (0x6112, "6112 done, more data wait"),
        (0x6A83, "6A83 no such record"),
        (0x1234, "1234 unknown"),
    ],
)
def test_status_words_have_meanings(status: int, said: str) -> None:
    assert apdu.meaning(status) == said


def test_what_is_too_short_is_no_answer() -> None:
    assert apdu.response_of(b"\x90") is None
    assert apdu.response_of(b"\x01\x90\x00") == Response(b"\x01", 0x9000)


def test_data_are_never_shown() -> None:
    assert "41" not in repr(Command(b"AAAA"))
    assert "A" not in repr(Response(b"AAAA", 0x9000)).replace("Response", "")
