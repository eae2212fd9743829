"""An employer's file: what it must hold, and which line is wrong."""

from pathlib import Path

import pytest

from cli.employers import FormError, read_batch
from onecard.card.v1 import applications_pb2 as messages

GOOD = """batch,WORKS-1,2
name,number,phone,document,issuing_country,resident
张三,11010519491231002X,13812345678,,,是
JOHN SMITH,AB1234567,13812345679,passport,GBR,
"""


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    file = folder / "staff.csv"
    file.write_text(text, encoding=encoding)
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_file_becomes_header_and_rows(tmp_path: Path, encoding: str) -> None:
    batch = read_batch(write(tmp_path, GOOD, encoding))
    assert (batch.batch_id, batch.count) == ("WORKS-1", 2)
    one, other = (row.message for row in batch.rows)
    assert (one.row, one.person.name, one.resident) == (1, "张三", True)
    assert one.person.document.kind == messages.DOCUMENT_KIND_RESIDENT_ID
    assert (other.person.document.kind, other.resident) == (messages.DOCUMENT_KIND_PASSPORT, False)
    assert (other.person.document.number, other.person.document.issuing_country) == ("AB1234567", "GBR")
    assert [row.line for row in batch.rows] == [3, 4]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"a photo")
    text = 'batch,W,3\nname,number,phone,address,photo\n\n张三,1,1,"一号\n二楼",1.jpg\n\n李四,2,2,,\n王五,3,3,licence,\n\n'
    batch = read_batch(write(tmp_path, text))
    assert [(row.line, row.message.row) for row in batch.rows] == [(4, 1), (7, 2), (8, 3)]
    assert [row.photo for row in batch.rows] == [tmp_path / "1.jpg", None, None]
    assert batch.rows[0].message.person.address == "一号\n二楼"


def test_a_kind_of_document_that_there_is_not_is_for_the_service_to_refuse(tmp_path: Path) -> None:
    batch = read_batch(write(tmp_path, "batch,W,1\nname,number,phone,document\n张三,1,1,licence\n"))
    assert batch.rows[0].message.person.document.kind == messages.DOCUMENT_KIND_UNSPECIFIED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1"),
        ("batch,WORKS-1,two\nname,number,phone\n", "line 1"),
        ("batch,WORKS-1,1\nname,number,phone,shoes\n", "'shoes'"),
        ("batch,WORKS-1,1\nname,phone\n", "'number' is missing"),
        ("batch,WORKS-1,1\nname,number,phone\n张三,1\n", "line 3: 3 fields are wanted, 2 found"),
        ("batch,WORKS-1,1\nname,number,phone,photo\n张三,1,1,no.jpg\n", "line 3: there is no such photo"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FormError, match=says) as wrong:
        read_batch(write(tmp_path, text))
    assert "张三" not in str(wrong.value)


def test_a_file_in_no_encoding_that_we_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_bytes(b"batch,W,1\nname,number,phone\n\xff\xff\xff,1,1\n")
    with pytest.raises(FormError, match="neither UTF-8 nor GB18030"):
        read_batch(file)


def test_the_example_is_a_batch() -> None:
    batch = read_batch(Path(__file__).parents[3] / "docs" / "examples" / "staff.csv")
    assert batch.count == len(batch.rows) == 5
