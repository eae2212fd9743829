"""A photo is decoded and measured; each point that is not as demanded is named with both figures."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from services.card.adapters import photo
from services.card.adapters.photo import PhotoChecker, measure_photo
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
    for broken in (b"", b"hello", good_photo()[:9000], b"\xff\xd8\xff" + bytes(20_000)):
        assert set(faults(broken)) == {PhotoPoint.READABLE}


def test_every_cut_of_a_photo_is_a_fault_and_never_an_error() -> None:
    whole = good_photo()
    for length in range(0, len(whole) - 1, 997):
        assert isinstance(measure_photo(whole[:length], 40_960), PhotoFault)


def test_a_grey_photo_is_named_as_such() -> None:
    assert faults(jpeg(portrait().convert("L")))[PhotoPoint.COLOUR].measured == "L"


def test_a_picture_that_would_fill_the_memory_is_not_decoded() -> None:
    bomb = jpeg(Image.new("RGB", (8000, 8000)), quality=1)
    assert isinstance(measure_photo(bomb, 10_000_000), PhotoFault)
    too_long = measure_photo(bomb, 40_960)
    assert isinstance(too_long, PhotoFault)
    assert too_long.point is PhotoPoint.BYTES


def test_the_borders_belong_to_what_is_demanded() -> None:
    def at(size: int, face: int) -> set[PhotoPoint]:
        box = Box(179 - face // 2, 200 - face // 2, face, face)
        return {fault.point for fault in judge_photo(RULES, PhotoFacts(size, 358, 441, 350, "RGB", (box,)))}

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
