"""What dies comes back, with a pause that doubles."""

from cli.city.supervisor import Pause


def test_the_pause_doubles_up_to_half_a_minute() -> None:
    pause = Pause()
    assert [pause.take(lived_seconds=0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_minute_of_health_is_forgiven() -> None:
    pause = Pause()
    for _ in range(4):
        pause.take(lived_seconds=0)
    assert pause.take(lived_seconds=61) == 1
    assert pause.take(lived_seconds=0) == 2
