"""An identity reader that is simulated reads whom it was given, and then whoever follows from its seed."""

from datetime import date

from onecard.card.v1 import applications_pb2 as applications
from sdk.window.devices.identity import IdentityReader, IdentityReading, ReadingTrouble
from simulation.identity import SimulatedIdentityReader, of_person

PERSON = applications.Person(
    document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number="11010519491231002X"),
    name="王秀兰",
    nationality="01",
)


def test_documents_are_read_one_after_the_other_and_then_there_is_none() -> None:
    reader: IdentityReader = SimulatedIdentityReader([ReadingTrouble.TAKEN_AWAY, of_person(PERSON)])
    assert [reader.read() for _ in range(3)] == [ReadingTrouble.TAKEN_AWAY, of_person(PERSON), ReadingTrouble.NO_DOCUMENT]


def test_the_same_seed_reads_the_same_people() -> None:
    one, other = (SimulatedIdentityReader(seed="window 1") for _ in range(2))
    people = [one.read() for _ in range(5)]
    assert people == [other.read() for _ in range(5)]
    assert len({person.number for person in people if isinstance(person, IdentityReading)}) == 5


def test_sex_and_birth_date_are_as_the_number_says() -> None:
    reading = of_person(PERSON)
    assert (reading.sex, reading.birth_date) == (applications.SEX_FEMALE, date(1949, 12, 31))


def test_a_reading_becomes_the_person_of_an_application() -> None:
    person = of_person(PERSON).person(phone="13800000000")
    assert person.document == PERSON.document
    assert (person.name, person.birth_date, person.phone) == ("王秀兰", "1949-12-31", "13800000000")


def test_a_reading_shows_itself_to_no_log() -> None:
    shown = repr(of_person(PERSON))
    assert not any(personal in shown for personal in ("11010519491231002X", "王秀兰", "1949"))


def test_each_trouble_says_what_to_do_next() -> None:
    assert all(trouble.value.endswith("。") and "请" in trouble.value for trouble in ReadingTrouble)
