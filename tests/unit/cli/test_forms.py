"""An employer's file: what it must hold, and which line is wrong."""

from pathlib import Path

import pytest

from cli.forms import FormError, read_batch
from onecard.card.v1 import applications_pb2 as messages

GOOD = """batch,WORKS-1,2
name,number,phone,document,resident
张三,11010519491231002X,13812345678,,是
JOHN SMITH,AB1234567,13812345679,passport,
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "staff.csv"
    file.write_text(text, encoding="utf-8-sig")
    return file


def test_a_file_becomes_header_and_rows(tmp_path: Path) -> None:
    batch = read_batch(write(tmp_path, GOOD), "440703-01")
    assert batch.header == messages.BatchHeader(batch_id="WORKS-1", rows=2, outlet="440703-01")
    one, other = batch.rows
    assert (one.row, one.person.name, one.resident) == (1, "张三", True)
    assert one.person.document.kind == messages.DOCUMENT_KIND_RESIDENT_ID
    assert (other.person.document.kind, other.resident) == (messages.DOCUMENT_KIND_PASSPORT, False)
    assert batch.first_line + other.row - 1 == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1"),
        ("batch,WORKS-1,two\nname,number,phone\n", "line 1"),
        ("batch,WORKS-1,1\nname,number,phone,shoes\n", "'shoes'"),
        ("batch,WORKS-1,1\nname,phone\n", "'number' is missing"),
        ("batch,WORKS-1,1\nname,number,phone\n张三,1\n", "line 3: 3 fields are wanted, 2 found"),
        ("batch,WORKS-1,1\nname,number,phone,document\n张三,1,1,licence\n", "line 3: there is no kind of document 'licence'"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FormError, match=says) as wrong:
        read_batch(write(tmp_path, text), "")
    assert "张三" not in str(wrong.value)
