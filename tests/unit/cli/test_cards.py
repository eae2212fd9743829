"""The registry of cards against what payments knows: each kind of difference is found."""

from cli.city.cards import Period, Projected, Registered, differences, doubles

NORMAL, LOST, CANCELLED = 1, 2, 9


def card(name: str = "A", holder: int = 7, social: int = NORMAL, version: int = 4, successor: str = "") -> Registered:
    return Registered(name, holder, 1, version, social, 1, successor)


def known(name: str = "A", social: int = NORMAL, version: int = 4, successor: str = "") -> dict[str, Projected]:
    return {name: Projected(name, 1, version, [Period(1), Period(social + 1)], successor)}


def test_what_is_equal_differs_in_nothing() -> None:
    assert differences([card()], {"A": 7}, known()) == []
    assert doubles([card(), card("B", 8), card("C", social=CANCELLED)]) == []


def test_each_difference_is_named() -> None:
    for registry, pointers, projected, says in (
        (card(), {}, {}, "not known"),
        (card(), {"A": 8}, known(), "another account"),
        (card(), {"A": 7}, known(version=3), "version 3 in payments, at 4"),
        (card(), {"A": 7}, known(social=LOST), "another status or successor"),
        (card(successor="B"), {"A": 7}, known(), "another status or successor"),
    ):
        (found,) = differences([registry], pointers, projected)
        assert says in found


def test_two_live_cards_of_one_person_are_found() -> None:
    assert doubles([card(), card("B", social=LOST), card("C", 8)]) == ["holder 7 has 2 live cards"]
