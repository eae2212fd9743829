"""The city's day in plain words: for a mayor, and for whoever has to tell one."""

from deploy.grafana.expressions import RATE, elected
from deploy.grafana.panels import NUMBER, YUAN, Query, Shelf, bars, dashboard, figure, lines

_CHANNELS = {"bus": "Bus rides", "campus": "Meals and purchases", "scenic": "Entries"}


def _taps(channel: str, outcome: str = "posted") -> str:
    counted = elected(f'onecard_today_taps{{channel="{channel}",outcome="{outcome}"}}')
    return f"max({counted})"


def _fares(labels: str) -> str:
    counted = elected(f"onecard_today_fares_fen{{{labels}}}")
    return f"sum({counted}) / 100"


TODAY = dashboard(
    "today",
    "onecard · The city today",
    "How the city uses its card since midnight: rides, meals, entries, what people paid and what the city paid for them. In yuan.",
    [
        Shelf(
            "Since midnight",
            6,
            [
                figure(
                    "Bus rides",
                    "Rides that were paid with the card today. Buses without a network report theirs later in the day.",
                    NUMBER,
                    Query(_taps("bus"), "rides"),
                    decimals=0,
                ),
                figure(
                    "Meals and purchases",
                    "In canteens and shops of schools and universities today.",
                    NUMBER,
                    Query(_taps("campus"), "meals and purchases"),
                    decimals=0,
                ),
                figure(
                    "Entries to sights",
                    "Visitors who entered a park, garden or museum with the card today.",
                    NUMBER,
                    Query(_taps("scenic"), "entries"),
                    decimals=0,
                ),
                figure(
                    "People paid",
                    "Out of their own purses today, for all of these together.",
                    YUAN,
                    Query(_fares('paid_by="holders"'), "paid"),
                ),
                figure(
                    "The city paid for them",
                    "Concessions today: elders who ride free or for half, students whose lunch the city adds to.",
                    YUAN,
                    Query(_fares('paid_by="funds"'), "paid"),
                ),
            ],
            widths=[5, 5, 5, 5, 4],
        ),
        Shelf(
            "Through the day",
            10,
            [
                lines(
                    "Rides, meals, entries",
                    "Counted from midnight on: the steeper a line, the busier the hour.",
                    NUMBER,
                    *(Query(_taps(channel), words) for channel, words in _CHANNELS.items()),
                ),
                lines(
                    "Taps a minute",
                    "How busy the city is at this moment, everything together.",
                    "suffix: /min",
                    *(
                        Query(f'sum(rate(onecard_taps_total{{channel="{channel}",outcome="posted"}}[{RATE}])) * 60', words)
                        for channel, words in _CHANNELS.items()
                    ),
                    stacked=True,
                ),
            ],
        ),
        Shelf(
            "Who paid",
            9,
            [
                bars(
                    "Paid by people",
                    "Today, by where.",
                    YUAN,
                    *(Query(_fares(f'channel="{channel}",paid_by="holders"'), words) for channel, words in _CHANNELS.items()),
                ),
                bars(
                    "Paid by the city",
                    "Concessions today, by where. What a merchant gives by itself is not among them: it earns less.",
                    YUAN,
                    *(Query(_fares(f'channel="{channel}",paid_by="funds"'), words) for channel, words in _CHANNELS.items()),
                ),
                bars(
                    "Turned away",
                    "Taps that were refused today: mostly empty purses, some lost cards.",
                    NUMBER,
                    *(Query(_taps(channel, "refused"), words) for channel, words in _CHANNELS.items()),
                ),
                bars(
                    "Cards handed over",
                    "In the time that is chosen above, which begins at midnight: new cards and replacements that people took home.",
                    NUMBER,
                    Query('round(sum(increase(issuance_transitions_total{to_state="HANDED_OVER"}[$__range])))', "cards"),
                ),
            ],
        ),
    ],
    since="now/d",
)
