"""An identity reader that reads people who are made up, one document after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from random import Random

from onecard.card.v1 import applications_pb2 as applications
from sdk.window.devices.identity import IdentityReading, ReadingTrouble
from simulation.residents import new_person


class SimulatedIdentityReader:
    """Reads those it was given; then, as long as somebody stands there, people that follow from a seed."""

    def __init__(self, documents: Iterable[IdentityReading | ReadingTrouble] = (), *, seed: int | str | None = None) -> None:
        """Without a seed nothing lies on it once all were read."""
        self._documents: Iterator[IdentityReading | ReadingTrouble] = iter(documents)
        self._random = None if seed is None else Random(seed)  # noqa: S311 - a city, no secret

    def read(self) -> IdentityReading | ReadingTrouble:
        """The next one."""
        try:
            return next(self._documents)
        except StopIteration:
            return ReadingTrouble.NO_DOCUMENT if self._random is None else somebody(self._random)


def somebody(random: Random) -> IdentityReading:
    """A resident with an identity card."""
    return of_person(new_person(random))


def of_person(person: applications.Person) -> IdentityReading:
    """What a resident's identity card says of them; sex and birth date are in its number."""
    number = person.document.number
    reading = IdentityReading(
        document_kind=person.document.kind,
        number=number,
        name=person.name,
        sex=applications.SEX_MALE if int(number[16]) % 2 else applications.SEX_FEMALE,
        nationality=person.nationality,
        birth_date=date(int(number[6:10]), int(number[10:12]), int(number[12:14])),
        address=person.address,
    )
    until = person.document.valid_until
    return replace(reading, valid_until=date.fromisoformat(until)) if until else reading
