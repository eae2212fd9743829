"""People who apply: the n-th person is the same in every run, and nobody who lives."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from stdnum.iso7064 import mod_11_2

from onecard.card.v1 import applications_pb2 as messages

OUTLET: Final = "440703-01"
_A_DAY: Final = 1000
"""As many are born in one region on one day."""
_FIRST_DAY: Final = date(1990, 1, 1)
_FAMILY_NAMES: Final = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_FIRST_CHARACTER: Final = 0x4E00
_CHARACTERS: Final = 20_000
_ROWS_A_PART: Final = 100


def citizen_number(number: int) -> str:
    """Of the n-th person."""
    born = _FIRST_DAY + timedelta(number // _A_DAY)
    seventeen = f"440703{born:%Y%m%d}{number % _A_DAY:03}"
    return seventeen + mod_11_2.calc_check_digit(seventeen)


def person(number: int) -> messages.Person:
    """As a form states them."""
    given = chr(_FIRST_CHARACTER + number * 7919 % _CHARACTERS) + chr(_FIRST_CHARACTER + number % _CHARACTERS)
    return messages.Person(
        document=messages.Document(kind=messages.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(number)),
        name=_FAMILY_NAMES[number % len(_FAMILY_NAMES)] + given,
        nationality="01",
        phone=f"138{number % 10**8:08}",
    )


def rows(first: int, count: int) -> list[messages.BatchRow]:
    """An employer's people."""
    return [messages.BatchRow(row=row + 1, person=person(first + row)) for row in range(count)]


def header(first: int, count: int) -> messages.BatchHeader:
    """Of the batch that begins with that person."""
    return messages.BatchHeader(batch_id=f"batch-{first}", rows=count, outlet=OUTLET)


def parts(first: int, count: int) -> Iterator[messages.SubmitBatchRequest]:
    """A batch as it is sent."""
    yield messages.SubmitBatchRequest(header=header(first, count))
    people = rows(first, count)
    for at in range(0, count, _ROWS_A_PART):
        yield messages.SubmitBatchRequest(rows=people[at : at + _ROWS_A_PART])
