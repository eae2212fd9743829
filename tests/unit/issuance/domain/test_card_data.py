"""The bytes of each record, and what a chip cannot carry."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.issuance.domain.card_data import CardData, Content, pick, records_of
from services.issuance.domain.effects import Refused
from services.issuance.domain.product import Product, Source
from services.issuance.domain.refusal import Refusal
from tests.support.chip_driver import PRODUCTS, card_data

THIRD, SECOND = PRODUCTS["ssc3"], PRODUCTS["ssc2"]


def records(data: CardData, product: Product = THIRD) -> dict[str, bytes]:
    contents = records_of(product, data)
    assert not isinstance(contents, Refused)
    return {one.place: one.content for one in contents}


def test_every_record_has_its_bytes() -> None:
    assert records(replace(card_data(1), name="张三", card_number="A00000011")) == {
        "EF06/01": b"\x08\x12" + b"11010519491231002X",
        "EF06/02": b"\x09\x1e" + "张三".encode("gbk").ljust(30, b"\0"),
        "EF06/03": b"\x4e\x3c" + bytes(60),
        "EF06/04": b"\x0a\x01" + b"2",
        "EF06/05": b"\x0b\x01\x01",
        "EF06/06": b"\x0c\x03" + bytes.fromhex("110105"),
        "EF06/07": b"\x0d\x04" + bytes.fromhex("19491231"),
        "EF05/01": b"\x01\x10" + bytes.fromhex("440700D156000005000000019E3779B1"),
        "EF05/02": b"\x02\x01" + b"3",
        "EF05/03": b"\x03\x04" + b"3.00",
        "EF05/04": b"\x04\x0c" + bytes.fromhex("440700D15600000500000001"),
        "EF05/05": b"\x05\x04" + bytes.fromhex("20260101"),
        "EF05/06": b"\x06\x04" + bytes.fromhex("20360101"),
        "EF05/07": b"\x07\x09" + b"A00000011",
    }


def test_the_second_generation_has_no_extension_of_the_name() -> None:
    assert "EF06/07" not in records(card_data(), SECOND)
    assert records(card_data(), SECOND)["EF06/06"][0] == 0x0D
    assert records_of(SECOND, replace(card_data(), name="长" * 16)) == Refused(Refusal.VALUE_TOO_LONG, "EF06/02")


@given(name=st.text(st.characters(codec="gbk", exclude_characters="\0"), min_size=1, max_size=45))
def test_a_name_is_whole_over_both_records(name: str) -> None:
    found = records_of(THIRD, replace(card_data(), name=name))
    if isinstance(found, Refused):
        assert found.reason is Refusal.VALUE_TOO_LONG
        assert len(name.encode("gbk")) > 89
        return
    parts = [one.content[2:].rstrip(b"\0") for one in pick(found, Source.NAME, Source.NAME_EXTENSION)]
    assert "".join(part.decode("gbk") for part in parts) == name


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"name": "𠮷野"}, Refused(Refusal.VALUE_NOT_CARRIED, "EF06/02")),
        ({"name": ""}, Refused(Refusal.VALUE_MALFORMED, "EF06/02")),
        ({"name": "张\0三"}, Refused(Refusal.VALUE_MALFORMED, "EF06/02")),
        ({"name": "长" * 46}, Refused(Refusal.VALUE_TOO_LONG, "EF06/02")),
        ({"social_security_number": "1" * 19}, Refused(Refusal.VALUE_TOO_LONG, "EF06/01")),
        ({"social_security_number": "１１０"}, Refused(Refusal.VALUE_MALFORMED, "EF06/01")),
        ({"sex": ""}, Refused(Refusal.VALUE_MALFORMED, "EF06/04")),
        ({"sex": "12"}, Refused(Refusal.VALUE_TOO_LONG, "EF06/04")),
        ({"nationality": "1"}, Refused(Refusal.VALUE_MALFORMED, "EF06/05")),
        ({"nationality": "0 1"}, Refused(Refusal.VALUE_MALFORMED, "EF06/05")),
        ({"birthplace": "1101"}, Refused(Refusal.VALUE_MALFORMED, "EF06/06")),
        ({"birthplace": "京"}, Refused(Refusal.VALUE_MALFORMED, "EF06/06")),
        ({"card_number": "A0000001"}, Refused(Refusal.VALUE_MALFORMED, "EF05/07")),
        ({"card_number": "A000000111"}, Refused(Refusal.VALUE_TOO_LONG, "EF05/07")),
        ({"card_identifier": "440700"}, Refused(Refusal.VALUE_MALFORMED, "EF05/01")),
    ],
)
def test_what_the_chip_cannot_carry_is_refused_by_name(change: dict[str, str], refused: Refused) -> None:
    assert records_of(THIRD, replace(card_data(), **change)) == refused  # type: ignore[arg-type] # all of them are texts


def test_a_holder_without_a_number_or_known_birthplace_has_zeros() -> None:
    found = records(replace(card_data(), social_security_number="", birthplace=""))
    assert found["EF06/01"] == b"\x08\x12" + bytes(18)
    assert found["EF06/06"] == b"\x0c\x03" + bytes(3)
    assert records(replace(card_data(), social_security_number="H12345678"))["EF06/01"] == b"\x08\x12H12345678" + bytes(9)


def test_what_is_written_is_never_shown() -> None:
    contents = records_of(THIRD, card_data())
    assert isinstance(contents, tuple)
    shown = repr((contents, card_data()))
    for value in ("11010519491231002X", "欧阳", "A0000001X", "1949"):
        assert value not in shown
    assert all(isinstance(one, Content) for one in contents)
