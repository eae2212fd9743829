"""A card's PDF: its size, what can be read of it, its photo and type, and nothing beside what is to be seen."""

import io
import logging
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, ImageChops
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

from onecard.issuance.v1.issuance_pb2 import CardFace as Message
from sdk.window.devices.card_pdf import card_pdf
from sdk.window.devices.jpeg import only_the_picture
from sdk.window.devices.printer import CannotPrintError, CardFace
from sdk.window.devices.type import NoTypeError, find_type
from tests.unit.sdk.devices.faces import PLACE, face, photo

MM = 25.4 / 72
UNPRINTABLE = "\U000323af"
NAMES = (
    "王秀兰",
    "阿卜杜热合曼·买买提吐尔逊",
    "欧阳娜娜·古丽巴哈尔·阿不都热西提·买买提明·吾布力喀斯木·阿卜杜拉",
    "LI MING",
    "VON HOHENZOLLERN-SIGMARINGEN MARIA ALEXANDRA LUISE",
    "𠮷田·䶮",
)


@cache
def pdf_of(card: CardFace) -> bytes:
    return card_pdf(card, find_type())


def opened(card: CardFace) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(pdf_of(card))


def text_of(document: pypdfium2.PdfDocument, page: int) -> str:
    return re.sub(r"\s+", " ", document[page].get_textpage().get_text_range())


def assert_in_order(text: str, *parts: str) -> None:
    at = 0
    for part in parts:
        at = text.index(part, at) + len(part)


def test_both_faces_are_as_large_as_a_card() -> None:
    document = opened(face())
    assert len(document) == 2
    for page in document:
        width, height = (round(points * MM, 2) for points in page.get_size())
        assert (width, height) == (85.60, 53.98)


def test_the_front_reads_from_the_title_to_the_authority() -> None:
    assert_in_order(
        text_of(opened(face()), 0),
        "中华人民共和国社会保障卡",
        "姓名",
        "王秀兰",
        "社会保障号码",
        "440703196504120026",
        "卡号",
        "A1234567X",
        "发卡日期",
        "2026.01.05",
        "有效期限",
        "2036.01.04",
        "发卡机构",
        "五邑市人力资源和社会保障局",
    )


def test_the_back_says_the_rules_and_whom_to_call_and_nobodys_name() -> None:
    text = text_of(opened(face()), 1)
    assert_in_order(text, "使用须知", "1.", "2.", "3.", "4.")
    assert_in_order(text, "服务电话", "12333")
    assert not any(personal in text for personal in ("王秀兰", "440703196504120026", "A1234567X"))


def test_only_a_temporary_card_says_that_it_is_one() -> None:
    assert "临时卡" in text_of(opened(face(temporary_card=True)), 0)
    assert "临时卡" not in text_of(opened(face()), 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_printed_whole_and_covers_nothing_else(name: str) -> None:
    document = opened(face(name=name))
    text = document[0].get_textpage()
    assert name.replace(" ", "") in re.sub(r"\s", "", text.get_text_range())
    # As long as it may be, it stays above the number and left of the photo.
    with_name, without = (document[0].render(scale=2).to_pil(), opened(face(name="·"))[0].render(scale=2).to_pil())
    _, above, right, below = ImageChops.difference(with_name, without).getbbox() or (0, 0, 0, 0)
    per_mm = 2 / MM
    assert above / per_mm > 20.8
    assert right / per_mm < 56
    assert below / per_mm < 32


def test_the_photo_keeps_its_dots_at_300_to_the_inch_and_more() -> None:
    (image,) = opened(face())[0].get_objects(filter=[FPDF_PAGEOBJ_IMAGE])
    left, _, right, _ = image.get_bounds()
    assert image.get_px_size() == (358, 441)
    assert 358 / ((right - left) / 72) >= 300
    assert bytes(image.get_data()) == only_the_picture(photo())


def test_a_photo_loses_what_is_not_to_be_seen_and_no_dot() -> None:
    assert photo().count(PLACE) == 2
    cleaned = only_the_picture(photo() + PLACE)
    assert PLACE not in cleaned
    before, after = (Image.open(io.BytesIO(picture)).convert("RGB") for picture in (photo(), cleaned))
    assert before.tobytes() == after.tobytes()
    assert PLACE not in pdf_of(face())


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 4}, {"quality": 30}])
def test_every_kind_of_jpeg_is_kept(options: dict[str, int]) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo())).save(file, "JPEG", **options)
    before, after = (Image.open(io.BytesIO(picture)) for picture in (file.getvalue(), only_the_picture(file.getvalue())))
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    "broken", [b"", b"\x89PNG", photo()[:40], photo()[:-2], b"\xff\xd8\xff\xe0\x00\x00", b"\xff\xd8\xff\xd9"]
)
def test_a_photo_that_is_none_is_named(broken: bytes) -> None:
    with pytest.raises(CannotPrintError, match="照片"):
        card_pdf(face(photo=broken), find_type())


def test_only_those_letters_of_the_type_go_along_that_are_needed() -> None:
    pdf = pdf_of(face())
    fonts = set(re.findall(rb"/BaseFont /(\S+)", pdf))
    assert fonts
    assert all(re.match(rb"[A-Z]{6}\+|MPDFA", font) for font in fonts), fonts
    assert pdf.count(b"/FontFile") == 2
    assert len(pdf) < 300_000


@pytest.mark.parametrize("where", ["name", "authority"])
def test_a_character_that_the_type_lacks_is_named_with_its_code_point(where: str) -> None:
    with pytest.raises(CannotPrintError, match="U\\+323AF") as refused:
        card_pdf(face(**{where: f"王{UNPRINTABLE}"}), find_type())
    assert UNPRINTABLE in str(refused.value)
    assert "王" not in str(refused.value)


def test_a_name_that_finds_no_room_is_refused_and_not_cut() -> None:
    with pytest.raises(CannotPrintError, match="过长"):
        card_pdf(face(name="W" * 50), find_type())


def test_what_is_known_of_the_file_says_nothing_of_anybody() -> None:
    pdf = pdf_of(face())
    told = pypdfium2.PdfDocument(pdf).get_metadata_dict()
    assert {key: value for key, value in told.items() if value} == {"CreationDate": "D:20000101000000Z"}
    assert b"/ID" not in pdf  # it would be a digest of what is on the card
    assert b"/Metadata" not in pdf
    assert pdf == card_pdf(face(), find_type())


def test_a_face_shows_itself_to_no_log() -> None:
    shown = repr(face())
    assert not any(personal in shown for personal in ("王秀兰", "440703196504120026", "A1234567X", "JFIF"))


def test_a_face_comes_from_the_message_of_issuance() -> None:
    message = Message(
        name="王秀兰",
        social_security_number="440703196504120026",
        card_number="A1234567X",
        issue_date="2026-01-05",
        expiry_date="2036-01-04",
        photo=photo(),
        authority="五邑市人力资源和社会保障局",
    )
    assert CardFace.of(message) == face()
    with pytest.raises(ValueError, match="isoformat"):
        CardFace.of(Message(issue_date="", expiry_date=""))


def test_without_type_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(NoTypeError, match=r"mplfonts.*fonts-noto-cjk"):
        find_type([tmp_path])


def test_nothing_that_draws_is_loaded_before_something_is_drawn() -> None:
    modules = ("pdf_printer", "cups_printer", "identity", "receipt", "type")
    imports = ", ".join(f"sdk.window.devices.{name}" for name in modules)
    heavy = "{'fpdf', 'fontTools', 'PIL', 'matplotlib', 'mplfonts'} & set(sys.modules)"
    code = f"import sys, {imports}; assert not {heavy}, {heavy}; sdk.window.devices.type.find_type(); assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_library_tells_the_log_what_it_draws(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    card_pdf(face(), find_type())
    told = caplog.text
    assert not any(f"{ord(character)}" in told or f"{ord(character):04X}" in told.upper() for character in "王秀兰")
    assert not any(personal in told for personal in ("王", "440703196504120026", "A1234567X", PLACE.decode()))
