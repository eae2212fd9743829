"""Labels that come from terminals are bounded."""

from services.payments.metrics import OTHER, Busiest, busiest


def test_the_fifty_busiest_have_names_and_the_rest_have_one() -> None:
    counts = {f"L{number}": number for number in range(1, 61)}
    found = busiest(counts)
    assert len(found) == 51
    assert found["L60"] == 60
    assert "L10" not in found
    assert found[OTHER] == sum(range(1, 11))
    assert sum(found.values()) == sum(counts.values())
    assert busiest({"L1": 3}) == {"L1": 3}


def test_a_merchant_that_is_called_other_is_added_to_the_rest() -> None:
    counts = {OTHER: 1000} | {f"L{number}": number for number in range(1, 61)}
    found = busiest(counts)
    assert sum(found.values()) == sum(counts.values())


def test_who_is_no_longer_among_the_busiest_is_no_longer_shown() -> None:
    figures = Busiest("onecard_test_riders", "Of a test", "line")
    figures.set({"L1": 3})
    figures.set({"L2": 4})
    (family,) = figures.collect()
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"line": "L2"}, 4)]
