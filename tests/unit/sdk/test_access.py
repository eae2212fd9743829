from pathlib import Path

import pytest

from sdk.merchant.access import Access, Credentials, credentials_in


def test_a_merchants_files_are_found_by_its_encoded_id(tmp_path: Path) -> None:
    (tmp_path / "SHOP%2F1.crt").touch()
    credentials_of = credentials_in(tmp_path)
    assert credentials_of("SHOP/1") == Credentials(
        tmp_path / "SHOP%2F1.crt", tmp_path / "SHOP%2F1.key", tmp_path / "authority.crt"
    )
    assert credentials_of("SHOP/2") is None


def test_whoever_has_no_certificate_is_not_connected(tmp_path: Path) -> None:
    access = Access("payments.example:443", credentials_in(tmp_path))
    assert not access.has("BUS")
    with pytest.raises(FileNotFoundError):
        access.connect("BUS")


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:50051", "[::1]:50051"])
def test_plain_text_is_spoken_on_this_machine(address: str) -> None:
    line = Access(address).connect("SHOP/1")
    line.channel.close()
    assert line.metadata == (("x-onecard-subject", "onecard://merchant/SHOP%2F1"),)


@pytest.mark.parametrize("address", ["payments.example:443", "10.0.0.1:443", "50051"])
def test_plain_text_is_spoken_nowhere_else(address: str) -> None:
    with pytest.raises(ValueError, match="certificates"):
        Access(address)
