"""A card product is data; what is wrong in its file is named with the key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.issuance.adapters.products import PRODUCTS, ProductsError, read_product, read_products
from services.issuance.domain.product import Algorithm, product_of

TEXT = (PRODUCTS / "third_generation.toml").read_text(encoding="utf-8")


def test_two_generations_come_with_the_platform() -> None:
    second, third = read_products()
    assert (second.code, second.algorithm, second.challenge_bytes) == ("ssc2", Algorithm.DES, 8)
    assert (third.code, third.algorithm, third.challenge_bytes) == ("ssc3", Algorithm.SM4, 16)
    assert third.application == second.application == bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")


def test_a_key_load_has_the_published_form() -> None:
    second, third = read_products()
    assert third.load_header(third.key("master")) == bytes.fromhex("84D4010024")
    assert second.load_header(second.key("master")) == bytes.fromhex("84D401001C")
    assert third.pin
    assert third.pin_header(third.pin) == bytes.fromhex("845E010014")


def test_the_answer_to_reset_tells_the_product() -> None:
    second, third = read_products()
    assert product_of(bytes.fromhex("3B09008153534333010203"), (second, third)) == third
    assert product_of(bytes.fromhex("3B09008153534332FFFFFF"), (second, third)) == second
    assert product_of(bytes.fromhex("3B0900815353433301020304"), (second, third)) is None
    assert product_of(b"", (second, third)) is None


def test_files_and_keys_are_written_in_the_order_of_the_file() -> None:
    _, third = read_products()
    assert [file.identifier for file in third.files] == [0xEF06, 0xEF05]
    assert [key.name for key in third.keys][-1] == "master"
    assert [key.name for key in third.session_keys()] == ["read", "update"]
    assert third.internal == third.key("internal")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('algorithm = "SM4"', 'algorithm = "RSA"'), "algorithm"),
        (lambda text: text.replace("tries_kept = 2", "tries_kept = 2\ncolour = 1"), "colour"),
        (lambda text: text.replace("tag = 0x08, length = 18", "tag = 0x08, length = 254"), "0xef06 records 1 length"),
        (lambda text: text.replace("tag = 0x09", "tag = 0x08"), "0xef06 records.tag"),
        (lambda text: text.replace("number = 7, tag = 0x07", "number = 6, tag = 0x07"), "0xef05 records.number"),
        (lambda text: text.replace('source = "expiry_date"', 'source = "issue_date"'), "files.records.source"),
        (lambda text: text.replace('source = "name" }', 'source = "sex" }'), "files.records.source"),
        (lambda text: text.replace('source = "sex" }', 'source = "fingerprint" }'), "source"),
        (lambda text: text.replace('value = "3.00", ', ""), "0xef05 records 3"),
        (
            lambda text: text.replace('source = "card_identifier", factory = true', 'source = "card_identifier"'),
            "card_identifier",
        ),
        (lambda text: text.replace('"card_number" }', '"constant", value = "000000000" }'), "card_number"),
        (lambda text: text.replace("address = 0x04", "address = 0x0A"), "keys.address"),
        (lambda text: text.replace('name = "read"', 'name = "update"'), "keys.name"),
        (lambda text: text.replace('under = "master"', 'under = "internal"'), "keys.under"),
        (lambda text: text.replace('under = "master"', 'under = "read"'), "keys.under"),
        (lambda text: text.replace("tries = 5", "tries = 2"), "keys.tries"),
        (lambda text: text.replace('write_with = "update"', 'write_with = "pin_reload"'), "write_with"),
        (lambda text: text.replace('read_with = "read"', 'read_with = "nobody"'), "read_with"),
        (lambda text: text.replace('key = "pin_reload"', 'key = "pin"'), "pin.key"),
        (lambda text: text.replace("digits = 6", "digits = 5"), "pin.digits"),
        (lambda text: text.replace('load = "84D401"', 'load = "84D4"'), "load"),
        (lambda text: text.replace('社会保障"', '𠀀"'), "encode"),
        (lambda text: text.replace("[pin]", "[pin"), "line"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    wrong = change(TEXT)
    assert wrong != TEXT
    file = tmp_path / "wrong.toml"
    file.write_text(wrong, encoding="utf-8")
    with pytest.raises(ProductsError) as error:
        read_product(file)
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)


def test_two_products_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "other.toml").write_text(TEXT.replace('"ssc3"', '"other"'), encoding="utf-8")
    with pytest.raises(ProductsError, match="have the same"):
        read_products(tmp_path)


def test_a_folder_without_products_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProductsError, match="no card product"):
        read_products(tmp_path)
