"""A photo is decoded and measured; each point that is not as demanded is named with both figures."""

import asyncio
import io
import random
import struct
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from services.card.adapters import photo
from services.card.adapters.photo import MOST_BYTES, PhotoChecker, measure_photo
from services.card.domain.photo import (
    NAMES,
    Box,
    PhotoFacts,
    PhotoFault,
    PhotoPoint,
    PhotoRules,
    judge_photo,
    not_overridden,
)
from services.common.errors import DomainError
from tests.support.photos import FAR_AWAY, OFF_CENTRE, SIZE, good_photo, jpeg, portrait

RULES = PhotoRules(358, 441, 350, 14_336, 40_960, 179, 255)


def faults(data: bytes) -> dict[PhotoPoint, PhotoFault]:
    return {fault.point: fault for fault in PhotoChecker(RULES).check_now(data)}


def texture(size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(90, 160, (size[1], size[0], 3), dtype=np.uint8))


def test_a_photo_as_demanded_has_no_fault() -> None:
    assert faults(good_photo()) == {}


def test_each_point_is_named_with_the_measured_and_the_demanded_figure() -> None:
    found = faults(jpeg(portrait(size=(300, 400)), dpi=(96, 96), quality=60))
    assert {PhotoPoint.WIDTH, PhotoPoint.HEIGHT, PhotoPoint.RESOLUTION} <= set(found)
    width = found[PhotoPoint.WIDTH]
    assert (width.measured, width.demanded, width.overridable) == ("300 像素", "358 像素", False)
    assert width.sentence == "照片宽度不符合要求：现为300 像素，应为358 像素。"
    assert found[PhotoPoint.RESOLUTION].measured == "96 dpi"
    assert found[PhotoPoint.RESOLUTION].overridable


def test_no_face_and_two_faces_are_refused_and_cannot_be_let_pass() -> None:
    nobody = faults(jpeg(texture(), quality=40))
    assert nobody[PhotoPoint.ONE_FACE].measured == "0 张"
    pair = Image.new("RGB", SIZE)
    for left in (0, 179):
        pair.paste(portrait(size=(179, 220)), (left, 100))
    two = faults(jpeg(pair))
    assert two[PhotoPoint.ONE_FACE].measured == "2 张"
    assert not two[PhotoPoint.ONE_FACE].overridable


def test_a_face_that_is_small_or_off_the_middle_may_be_let_pass_with_a_reason() -> None:
    small = faults(jpeg(portrait(FAR_AWAY)))
    assert set(small) == {PhotoPoint.FACE_WIDTH}
    aside = faults(jpeg(portrait(OFF_CENTRE)))
    assert PhotoPoint.FACE_POSITION in aside
    for found in (small, aside):
        assert not_overridden(tuple(found.values()), frozenset(found)) == ()
        assert not_overridden(tuple(found.values()), frozenset()) == tuple(found.values())


def test_what_is_no_jpeg_is_not_believed_by_its_name() -> None:
    file = io.BytesIO()
    portrait().resize((90, 110)).save(file, "PNG")
    assert faults(file.getvalue())[PhotoPoint.FORMAT].measured == "PNG"
    for nothing in (b"", b"hello", b"\0\0\0 ftypavif"):
        assert faults(nothing)[PhotoPoint.FORMAT].measured == "未知格式"
    for broken in (good_photo()[:9000], b"\xff\xd8\xff" + bytes(20_000)):
        assert set(faults(broken)) == {PhotoPoint.READABLE}


def test_every_cut_of_a_photo_is_a_fault_and_never_an_error() -> None:
    whole = good_photo()
    for length in range(0, len(whole) - 1, 997):
        assert isinstance(measure_photo(whole[:length]), PhotoFault)


def test_whatever_is_damaged_the_answer_is_a_value_and_no_warning() -> None:
    dice = random.Random(3)
    whole = jpeg(portrait(size=(90, 110)), exif=exif_of(6, 350))
    answers = set()
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(700)] = dice.choice((0, 255, dice.randrange(256)))
        answers.add(type(measure_photo(bytes(damaged))))
    assert answers == {PhotoFault, PhotoFacts}


def test_threads_that_measure_leave_the_filters_of_warnings_alone() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(measure_photo, [good_photo()[:3000]] * 400))
    assert list(warnings.filters) == before


def test_grey_and_print_colours_are_named_as_such() -> None:
    assert faults(jpeg(portrait().convert("L")))[PhotoPoint.COLOUR].measured == "灰度"
    assert faults(jpeg(portrait().convert("CMYK")))[PhotoPoint.COLOUR].measured == "印刷四色 CMYK"


def exif_of(orientation: int = 1, dpi: int = 0, unit: int = 2) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if dpi:
        exif[0x011A], exif[0x011B], exif[0x0128] = dpi, dpi, unit
    return exif.tobytes()


def with_density(unit: int, across: int, down: int) -> bytes:
    whole, at = good_photo(), good_photo().index(b"JFIF\0")
    return whole[: at + 7] + struct.pack(">BHH", unit, across, down) + whole[at + 12 :]


@pytest.mark.parametrize(
    ("unit", "across", "down", "measured"),
    [
        (1, 350, 350, None),
        (2, 138, 138, None),
        (0, 1, 1, "未注明"),
        (1, 0, 0, "未注明"),
        (1, 72, 72, "72 dpi"),
        (1, 350, 72, "横 350 dpi、纵 72 dpi"),
        (2, 350, 350, "889 dpi"),
    ],
)
def test_density_counts_by_the_inch_or_the_centimetre_in_both_directions(
    unit: int, across: int, down: int, measured: str | None
) -> None:
    found = faults(with_density(unit, across, down))
    assert {point: fault.measured for point, fault in found.items()} == ({PhotoPoint.RESOLUTION: measured} if measured else {})


def test_density_is_read_from_exif_where_the_file_has_no_other() -> None:
    def found(dpi: int, unit: int) -> set[PhotoPoint]:
        return set(faults(jpeg(portrait(), dpi=(0, 0), exif=exif_of(1, dpi, unit))))

    assert found(350, 2) == found(138, 3) == set()
    assert found(138, 2) == {PhotoPoint.RESOLUTION}


def test_a_photo_that_must_be_turned_is_refused() -> None:
    found = faults(jpeg(portrait(), exif=exif_of(6)))
    assert set(found) == {PhotoPoint.ORIENTATION}
    assert not found[PhotoPoint.ORIENTATION].overridable


def test_what_follows_the_end_of_a_photo_is_counted() -> None:
    for appended in (b"junk" * 5, good_photo()[:20]):
        found = faults(good_photo() + appended)
        assert {point: fault.measured for point, fault in found.items()} == {PhotoPoint.EXTRA_BYTES: "多出 20 字节"}


def test_an_arrangement_of_several_pictures_is_refused() -> None:
    file = io.BytesIO()
    portrait().save(file, "MPO", save_all=True, append_images=[portrait()], dpi=(350, 350))
    assert PhotoPoint.EXTRA_BYTES in faults(file.getvalue())


def test_a_progressive_photo_is_a_photo() -> None:
    assert faults(jpeg(portrait(), progressive=True)) == {}


def test_a_picture_that_would_fill_the_memory_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(photo, "_decode", decode)
    at = good_photo().index(b"\xff\xc0") + 5
    huge = good_photo()[:at] + struct.pack(">HH", 60_000, 50_000) + good_photo()[at + 4 :]
    found = faults(huge)
    assert {point: fault.measured for point, fault in found.items()} == {
        PhotoPoint.WIDTH: "50000 像素",
        PhotoPoint.HEIGHT: "60000 像素",
    }
    assert faults(good_photo() + bytes(MOST_BYTES))[PhotoPoint.BYTES].demanded == f"不超过 {MOST_BYTES} 字节"


def test_of_a_file_that_is_too_long_every_other_point_is_named_too() -> None:
    assert set(faults(jpeg(portrait(), quality=98, dpi=(96, 96)))) == {PhotoPoint.BYTES, PhotoPoint.RESOLUTION}


def closer(face: int) -> Image.Image:
    """The face about so many pixels wide."""
    scale = face / 100
    left, top = 224 - 179 / scale, 117 - 205 / scale
    return portrait((round(left), round(top), round(left + 358 / scale), round(top + 441 / scale)))


def flipped(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def darker(picture: Image.Image) -> Image.Image:
    return picture.point(lambda value: value * 0.6)


@pytest.mark.parametrize("change", [Image.Image.copy, flipped, darker])
@pytest.mark.parametrize("face", [180, 195, 210, 225, 240, 254])
def test_one_face_is_counted_once(face: int, change: Callable[[Image.Image], Image.Image]) -> None:
    facts = measure_photo(jpeg(change(closer(face))))
    assert isinstance(facts, PhotoFacts)
    assert facts.faces is not None
    (box,) = facts.faces
    assert abs(box.width - face) < face * 0.15
    assert abs(box.centre[0] - 179) < 20


def test_the_borders_belong_to_what_is_demanded() -> None:
    def at(size: int, face: int) -> set[PhotoPoint]:
        box = Box(179 - face // 2, 200 - face // 2, face, face)
        return {fault.point for fault in judge_photo(RULES, PhotoFacts(size, 358, 441, (350, 350), "RGB", (box,)))}

    for size, face in ((14_336, 179), (40_960, 255)):
        assert at(size, face) == set()
    assert at(14_335, 178) == at(40_961, 256) == {PhotoPoint.BYTES, PhotoPoint.FACE_WIDTH}


def test_every_point_has_a_name() -> None:
    assert set(NAMES) == set(PhotoPoint)


async def test_more_photos_at_once_than_can_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "_MOST_WAITING", 3)
    checker = PhotoChecker(RULES)
    heard = await asyncio.gather(*(checker.check(good_photo()) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in heard] == [tuple, tuple, tuple, DomainError, DomainError]
    assert await checker.check(good_photo()) == ()
    checker.close()
