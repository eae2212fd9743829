import pytest

from services.common.peer import Subject


@pytest.mark.parametrize(
    ("subject", "uri"),
    [
        (Subject(merchant_id="bus-company"), "onecard://merchant/bus-company"),
        (Subject(merchant_id="m/1", terminal_id="t%1"), "onecard://merchant/m%2F1/terminal/t%251"),
        (Subject(service="settlement"), "onecard://service/settlement"),
    ],
)
def test_a_subject_is_read_as_it_is_written(subject: Subject, uri: str) -> None:
    assert subject.uri == uri
    assert Subject.parse(uri) == subject


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://merchant/m",
        "onecard://merchant",
        "onecard://merchant/",
        "onecard://merchant/m/",
        "onecard://merchant/m/terminal",
        "onecard://merchant/m/terminal/",
        "onecard://merchant/m/terminal/t/x",
        "onecard://merchant/m/till/t",
        "onecard://merchant/m?x=1",
        "onecard://merchant/m?",
        "onecard://merchant/m#x",
        "onecard://merchant/%E4%B8%AD",
        "onecard://merchant/%FF",
        "onecard://merchant/a%20b",
        "onecard://merchant/a b",
        "onecard://merchant/m\n",
        "onecard://merchant/" + "m" * 65,
        "onecard://service/",
        "onecard://service/A",
        "onecard://someone@merchant/m",
        "onecard://merchant:80/m",
    ],
)
def test_anything_else_names_nobody(uri: str) -> None:
    with pytest.raises(ValueError, match="no subject"):
        Subject.parse(uri)


def test_no_merchant_passes_for_a_service_and_no_terminal_for_its_merchant() -> None:
    for uri in ("onecard://merchant/service%3Asettlement", "onecard://merchant/m/terminal/%2A"):
        with pytest.raises(ValueError, match="no subject"):
            Subject.parse(uri)
