from datetime import date

from bench.people import citizen_number, parts, rows
from bench.population import _TABLES, _packer
from bench.programs.copy_only import row_size
from services.card.adapters.city_settings import read_city_settings
from services.card.api.forms import Form, read_person
from services.card.config import settings_file

TODAY = date(2026, 11, 24)


def test_people_fill_in_forms_that_are_accepted_and_nobody_is_somebody_else() -> None:
    rules = read_city_settings(settings_file({})).application
    forms = [read_person(rules, row.person, TODAY) for row in [*rows(0, 300), *rows(4_599_000, 300)]]
    assert all(isinstance(form, Form) for form in forms)
    assert len({citizen_number(number) for number in range(5_000)}) == 5_000


def test_a_batch_begins_with_its_header_and_counts_its_rows() -> None:
    said, *sent = parts(7, 250)
    assert said.header.rows == 250
    assert [row.row for part in sent for row in part.rows] == list(range(1, 251))


def test_a_row_is_packed_as_copy_takes_it() -> None:
    pack = _packer([packed for _, packed in _TABLES["lookup"]])
    row = pack(2, 1, bytes(32), 2**32)
    assert len(row) == row_size(row) == 2 + 4 * 4 + 2 + 2 + 32 + 8
