"""Numbers of identity documents, by the standard and its neighbours."""

from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_11_2

from services.card.domain.document import PROBLEMS, Document, DocumentKind, DocumentProblem, parse_document, read_text
from services.card.domain.person import Sex
from services.card.domain.region import find_region

TODAY = date(2026, 11, 24)
ID = DocumentKind.RESIDENT_ID


def parsed(kind: DocumentKind, number: str, country: str = "") -> Document:
    found = parse_document(kind, number, TODAY, country)
    assert isinstance(found, Document), found
    return found


def with_check(seventeen: str) -> str:
    return seventeen + mod_11_2.calc_check_digit(seventeen)


def test_the_standards_own_examples_are_read() -> None:
    woman = parsed(ID, "11010519491231002X")
    assert (woman.birth_date, woman.sex, woman.region) == (date(1949, 12, 31), Sex.FEMALE, "北京市朝阳区")
    man = parsed(ID, "440524188001010014")
    assert (man.birth_date, man.sex, man.region) == (date(1880, 1, 1), Sex.MALE, "广东省潮阳县")  # a county that is no more


def test_a_number_is_put_right_as_far_as_its_meaning_stays() -> None:
    assert parsed(ID, " 110105 19491231 002x ").number == "11010519491231002X"
    assert parsed(ID, "１１０１０５１９４９１２３１００２Ｘ").number == "11010519491231002X"


@pytest.mark.parametrize(
    ("kind", "number", "problem"),
    [
        (ID, "110105194912310021", DocumentProblem.CHECK_DIGIT),
        (ID, "11010519491231002", DocumentProblem.LENGTH),
        (ID, "1101051949123100AX", DocumentProblem.CHARACTERS),
        (ID, "1101051949123100٢X", DocumentProblem.CHARACTERS),  # an Arabic two, which is a digit, too
        (DocumentKind.FOREIGN_PERMANENT_RESIDENCE, "USA12345678901٢", DocumentProblem.LENGTH),
        (DocumentKind.HK_MACAU_TRAVEL_PERMIT, "H1234567٢", DocumentProblem.CHARACTERS),
        (DocumentKind.TAIWAN_TRAVEL_PERMIT, "1234567२", DocumentProblem.CHARACTERS),
        (ID, with_check("11010520230229001"), DocumentProblem.BIRTH_DATE),  # no leap year
        (ID, with_check("11010520261125001"), DocumentProblem.BIRTH_DATE),  # tomorrow
        (ID, with_check("99010519900101001"), DocumentProblem.KIND),
        (ID, with_check("01010519900101001"), DocumentProblem.REGION),
        (ID, with_check("81000019900101001"), DocumentProblem.KIND),
        (DocumentKind.HK_MACAU_RESIDENCE_PERMIT, with_check("83000019900101001"), DocumentProblem.KIND),
        (DocumentKind.TAIWAN_RESIDENCE_PERMIT, "11010519491231002X", DocumentProblem.KIND),
        (DocumentKind.FOREIGN_PERMANENT_RESIDENCE, "11010519491231002X", DocumentProblem.KIND),
        (DocumentKind.HK_MACAU_TRAVEL_PERMIT, "K12345678", DocumentProblem.LENGTH),
        (DocumentKind.TAIWAN_TRAVEL_PERMIT, "1234567", DocumentProblem.LENGTH),
        (DocumentKind.PASSPORT, "E1234 5678中", DocumentProblem.CHARACTERS),
        (DocumentKind.PASSPORT, "E12345678", DocumentProblem.COUNTRY),
    ],
)
def test_what_cannot_be_is_named(kind: DocumentKind, number: str, problem: DocumentProblem) -> None:
    assert parse_document(kind, number, TODAY) is problem
    assert PROBLEMS[problem].endswith("。")


def test_residence_permits_state_a_number_for_life_and_travel_permits_do_not() -> None:
    for code in ("810000", "820000"):
        permit = parsed(DocumentKind.HK_MACAU_RESIDENCE_PERMIT, with_check(f"{code}19900101001"))
        assert (permit.citizen, permit.birth_date, permit.sex) == (True, date(1990, 1, 1), Sex.MALE)
    assert parsed(DocumentKind.TAIWAN_RESIDENCE_PERMIT, with_check("83000019900101002")).sex is Sex.FEMALE
    for kind, number in (
        (DocumentKind.HK_MACAU_TRAVEL_PERMIT, "h1234567801"),
        (DocumentKind.TAIWAN_TRAVEL_PERMIT, "12345678"),
        (DocumentKind.FOREIGN_PERMANENT_RESIDENCE, "usa123456789012"),
    ):
        document = parsed(kind, number)
        assert (document.citizen, document.birth_date) == (False, None)


def test_a_passports_number_is_told_apart_by_the_country_that_issued_it() -> None:
    british, french = (parsed(DocumentKind.PASSPORT, "e12345678", country) for country in ("gbr", "ＦＲＡ"))
    assert (british.number, british.citizen, british.birth_date) == (french.number, False, None)
    assert (british.text, british.social_security_number) == ("GBR E12345678", "GBR0E12345678")
    assert read_text(french.text) == ("FRA", "E12345678")
    assert parse_document(DocumentKind.PASSPORT, "E12345678", TODAY, "GB") is DocumentProblem.COUNTRY
    other = parsed(DocumentKind.TAIWAN_TRAVEL_PERMIT, "12345678", "GBR")  # only a passport has one
    assert read_text(other.text) == ("", "12345678")


def test_the_newer_permanent_residence_number_states_a_birth_date() -> None:
    number = with_check("93184019850607003")
    document = parsed(DocumentKind.FOREIGN_PERMANENT_RESIDENCE, number)
    assert (document.citizen, document.birth_date, document.sex) == (True, date(1985, 6, 7), Sex.MALE)


def test_a_county_that_is_in_no_table_is_worth_a_second_look_and_no_refusal() -> None:
    assert find_region("440799") is None
    assert parsed(ID, with_check("44079919900101001")).region_in_doubt
    assert not parsed(ID, with_check("44070319900101001")).region_in_doubt
    assert parsed(ID, with_check("44052420000101001")).region_in_doubt  # born behind the county's end, in 1993


def test_regions_know_their_years() -> None:
    gone = find_region("110103")
    assert gone is not None
    assert (gone.name, gone.last_year) == ("北京市崇文区", 2010)
    renamed = find_region("130502")
    assert renamed is not None
    assert (renamed.name, renamed.first_year, renamed.last_year) == ("河北省襄都区", 1983, 9999)


def test_a_document_shows_no_number_when_it_is_printed() -> None:
    assert "1949" not in repr(parsed(ID, "11010519491231002X"))


numbers = st.builds(
    lambda code, born, day: with_check(f"{code}{born:%Y%m%d}{day:03}"),
    st.sampled_from(["110105", "440703", "440524", "310104"]),
    st.dates(date(1900, 1, 1), TODAY),
    st.integers(0, 999),
)


@given(numbers)
def test_every_number_that_can_be_is_read_and_reads_the_same_again(number: str) -> None:
    document = parsed(ID, number)
    assert parsed(ID, document.number) == document


@given(numbers, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_wrong_character_is_always_noticed(number: str, at: int, wrong: str) -> None:
    assume(number[at] != wrong)
    assert isinstance(parse_document(ID, number[:at] + wrong + number[at + 1 :], TODAY), DocumentProblem)


@given(numbers, st.integers(0, 16))
def test_two_neighbours_that_changed_places_are_always_noticed(number: str, at: int) -> None:
    assume(number[at] != number[at + 1])
    swapped = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    assert isinstance(parse_document(ID, swapped, TODAY), DocumentProblem)
