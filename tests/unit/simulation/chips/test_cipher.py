"""Values that OpenSSL 3.0's command line and GB/T 32907 say, not this code."""

import pytest

from simulation.chips.assumed import card_key, pin_of
from simulation.chips.cipher import decipher, encipher, mac4, padded, unpadded

KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
NEW = bytes.fromhex("A0A1A2A3A4A5A6A7A8A9AAABACADAEAF")
CHALLENGE = bytes(range(16))
IDENTIFIER = bytes.fromhex("440700D1560000058000000101020304")


def test_sm4_is_that_of_the_standard() -> None:
    assert encipher("SM4", KEY, KEY).hex() == "681edf34d206965e86b3e94f536e4246"
    assert decipher("SM4", KEY, bytes.fromhex("681edf34d206965e86b3e94f536e4246")) == KEY


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("SM4", "3125252552c5a69efc89c2ee534ecf91"),
        ("AES", "be5b274ffd9c3c5671fd90757e89ad4c"),
        ("DES", "8e36c38695aa613d41398217c4d9615f"),
    ],
)
def test_a_card_key_is_what_the_root_makes_of_the_identifiers_end_and_its_complement(algorithm: str, key: str) -> None:
    assert card_key(algorithm, KEY, IDENTIFIER).hex() == key


@pytest.mark.parametrize(
    ("algorithm", "length", "secret", "mac"),
    [
        # the last block AC93414F CF7B1052 E84F77A6 ED2BD267, its words XORed
        ("SM4", 0x24, "c6a61b90225c6f045e78ecff9d59a18cc79847ba97b088bca5358e250300d752", "668cf4dc"),
        # 5E1B9436 14EFC3E5 46DFBB7F 8A78E074
        ("AES", 0x24, "346adde67a21abb1320cd4c5718f7e186734d314a4eba5fcb42f5d6475d4392a", "86530cd8"),
        # the left half of 452F0081 44BC7661
        ("DES", 0x1C, "9d646625004dcef72a19d5a421b4c19872afdb04f2a0e07e", "452f0081"),
    ],
)
def test_a_key_load_is_the_key_enciphered_and_a_mac_begun_with_the_challenge(
    algorithm: str, length: int, secret: str, mac: str
) -> None:
    block = 8 if algorithm == "DES" else 16
    made = encipher(algorithm, KEY, padded(b"\x13\x00\x00\x00" + NEW, block))
    assert made.hex() == secret
    command = bytes((0x84, 0xD4, 0x01, 0x04, length)) + made
    got = mac4(algorithm, KEY, CHALLENGE[:block], command, folded=algorithm != "DES")
    assert got.hex() == mac


def test_an_identifier_ends_with_a_mac_begun_with_zeros() -> None:
    body = bytes.fromhex("440700D15600000580000001")
    assert mac4("SM4", KEY, bytes(16), body, folded=True).hex() == "b484f724"
    assert mac4("DES", KEY, bytes(8), body, folded=False).hex() == "d7117c0f"


@pytest.mark.parametrize("block", [8, 16])
def test_padding_comes_off_as_it_went_on_and_no_other_does(block: int) -> None:
    for length in range(2 * block + 1):
        message = bytes(length)
        assert unpadded(padded(message, block), block) == message
    assert unpadded(bytes(block), block) is None
    assert unpadded(padded(b"", block) + bytes(block), block) is None
    assert unpadded(b"\x01" * block, block) is None


def test_a_pin_is_digits_of_the_length_that_it_says() -> None:
    assert pin_of(b"\x03\x12\x34\x56") == b"\x12\x34\x56"
    assert pin_of(b"\x02\x12\x34\x56") is None
    assert pin_of(b"\x03\x12\x34\x5a") is None
    assert pin_of(b"") is None
    assert pin_of(b"\x00") is None
