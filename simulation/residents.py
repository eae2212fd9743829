"""People of the city who come to a window: made up, with numbers that may exist, and one face."""

from __future__ import annotations

import io
from datetime import date, timedelta
from functools import cache
from random import Random

from PIL import Image
from skimage import data
from stdnum.iso7064 import mod_11_2

from onecard.card.v1 import applications_pb2 as applications

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰"
_FACE = (134, 10, 310, 227)


def another(person: applications.Person, kind: applications.ApplicationKind) -> applications.SubmitRequest:
    """For a card in place of the one that the person has, paid in cash."""
    return applications.SubmitRequest(
        kind=kind,
        mode=applications.MODE_INSTANT,
        route=applications.ROUTE_SELF,
        person=person,
        photo=photo(),
        fee_source=applications.FEE_SOURCE_CASH,
    )


def new_person(random: Random) -> applications.Person:
    """Somebody of the city, made up, with a number that may exist."""
    born = date(1960, 1, 1) + timedelta(random.randrange(16_000))
    seventeen = f"440703{born:%Y%m%d}{random.randrange(1000):03}"
    number = seventeen + mod_11_2.calc_check_digit(seventeen)
    return applications.Person(
        document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=number),
        name=random.choice(_SURNAMES) + "".join(random.choice(_GIVEN) for _ in range(2)),
        nationality="01",
        phone=f"138{random.randrange(10**8):08}",
    )


@cache
def photo() -> bytes:
    """The face that comes with scikit-image, as large as a city wants it."""
    picture = Image.fromarray(data.astronaut()).crop(_FACE).resize((358, 441), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88, dpi=(350, 350))
    return file.getvalue()
