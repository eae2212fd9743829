import pytest

from bench.capacity_page import CITIES, page
from bench.needs import MOST_WORKERS, PAYMENTS_A_TAP, City, Cost, Payment, needs
from tests.unit.bench.runs import MACHINE

FREE = Payment(0, 0, 0, 0)
COST = Cost(FREE, 50, 25, 5, 400, 800, 150, 50)
TOWN = City("a town", 1_000_000, 1)


def test_the_busiest_minute_is_twice_the_mean_of_an_hour_with_three_of_twenty_taps() -> None:
    assert TOWN.peak == pytest.approx(1_000_000 * 0.15 / 3600 * 2)


def test_cores_are_half_used_at_the_peak() -> None:
    found = needs(TOWN, COST)
    assert found.worker_cores == pytest.approx(TOWN.peak * 50e-6 * 2)
    assert found.postgresql_cores == pytest.approx(found.worker_cores / 2)


def test_two_workers_are_the_least_and_partitions_the_most() -> None:
    assert needs(City("a village", 1_000, 1), COST).workers == 2
    with pytest.raises(ValueError, match=f"three topics have {MOST_WORKERS} partitions"):
        needs(City("a country", 1_400_000_000, 10), COST)


def test_disks_follow_from_bytes_and_days() -> None:
    found = needs(TOWN, COST)
    assert found.archive_gb_a_year == pytest.approx(0.4 * 365)
    assert found.journal_gb == pytest.approx(0.4 * 241)
    assert found.log_gb_a_day == pytest.approx(0.8)
    assert found.topics_gb == pytest.approx(0.2 * 7 * 3)


def test_payments_come_on_top() -> None:
    paid = needs(TOWN, COST._replace(payment=Payment(400, 100, 1000, 2000)))
    alone = needs(TOWN, COST)
    assert paid.api_cores == pytest.approx(TOWN.peak * PAYMENTS_A_TAP * 400e-6 * 2)
    assert (paid.apis, alone.apis) == (2, 2)
    assert paid.postgresql_cores - alone.postgresql_cores == pytest.approx(TOWN.peak * PAYMENTS_A_TAP * 100e-6 * 2)
    assert paid.archive_gb_a_year - alone.archive_gb_a_year == pytest.approx(PAYMENTS_A_TAP * 365)
    assert paid.log_gb_a_day - alone.log_gb_a_day == pytest.approx(PAYMENTS_A_TAP * 2)


def test_the_page_has_a_column_for_each_city_and_no_place_left_open() -> None:
    text = page(MACHINE, COST, 200_000)
    assert all(f"| {city.name} " in text for city in CITIES)
    assert "{" not in text
