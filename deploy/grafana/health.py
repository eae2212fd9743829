"""The first look: is the city served, is its money right, does anybody have to get up?"""

from deploy.grafana.expressions import AGE_OF_HOTLIST, FAULTS_OF_CALLS, IMBALANCE_YUAN, LAG, RATE, age, elected, share
from deploy.grafana.panels import (
    BAD,
    NUMBER,
    SECONDS,
    SHARE,
    WATCH,
    YUAN,
    Query,
    Shelf,
    bars,
    dashboard,
    figure,
    lines,
    per_second,
)

OBJECTIVE = 0.999
"""Of calls that do not fail by our fault."""
_BURN = f"{FAULTS_OF_CALLS} / {1 - OBJECTIVE:.3f}"
_FRESH = "onecard_tap_to_ledger_seconds_bucket"


def _burn(window: str) -> str:
    return _BURN.replace(RATE, window)


HEALTH = dashboard(
    "health",
    "onecard · Health",
    "The first look. Six figures that must be calm, how fast the error budget is burnt, and where to look next.",
    [
        Shelf(
            "Now",
            5,
            [
                figure(
                    "Taps a second",
                    "Taps that got a verdict, repeats left out. Zero by day: terminals, the broker or all workers are away.",
                    per_second("taps"),
                    Query(f'sum(rate(onecard_taps_total{{outcome!="repeated"}}[{RATE}]))', "taps"),
                    decimals=0,
                ),
                figure(
                    "Books out of balance",
                    "Debits minus credits over all accounts, as the elected worker has just added them up. Anything but 0 is a fault.",
                    YUAN,
                    Query(IMBALANCE_YUAN, "imbalance"),
                    steps=[(0.01, BAD)],
                    decimals=2,
                ),
                figure(
                    "Worst lag",
                    "Since when the oldest record that was fetched and is not posted lies at the broker. More than 30 s for minutes: page.",
                    SECONDS,
                    Query(f"max({LAG})", "lag"),
                    steps=[(5, WATCH), (30, BAD)],
                    decimals=1,
                ),
                figure(
                    "Age of the hotlist",
                    "Cards that were barred since then may still be accepted by validators. More than 15 minutes: page.",
                    SECONDS,
                    Query(AGE_OF_HOTLIST, "age"),
                    steps=[(300, WATCH), (900, BAD)],
                    decimals=0,
                ),
                figure(
                    "Alerts that fire",
                    "By the rules of Prometheus. Which ones they are stands below.",
                    NUMBER,
                    Query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"),
                    steps=[(1, BAD)],
                    decimals=0,
                ),
                figure(
                    "Processes that do not answer",
                    "Of those that Prometheus knows. Which ones they are stands on the dashboard of resources.",
                    NUMBER,
                    Query("count(up == 0) or vector(0)", "away"),
                    steps=[(1, BAD)],
                    decimals=0,
                ),
            ],
        ),
        Shelf(
            "What we promised",
            8,
            [
                lines(
                    "Error budget of calls: how fast it burns",
                    "Calls that failed by our fault, in multiples of the 0.1 % that we allow ourselves. 1 for a month uses all of it;"
                    " above 14.4 over an hour, or 6 over six hours, somebody gets up.",
                    "suffix: ×",
                    Query(_burn("5m"), "5 minutes"),
                    Query(_burn("1h"), "1 hour"),
                    Query(_burn("6h"), "6 hours"),
                    steps=[(6, WATCH), (14.4, BAD)],
                ),
                lines(
                    "Fresh taps in the ledger within a second",
                    "Of the taps that arrived within a minute of their event, by channel. Falls when the database or the workers are slow.",
                    SHARE,
                    Query(
                        share(
                            f'sum by (channel) (rate({_FRESH}{{le=~"1(\\\\.0)?"}}[{RATE}]))',
                            f'sum by (channel) (rate({_FRESH}{{le=~"60(\\\\.0)?"}}[{RATE}]))',
                        ),
                        "{{channel}}",
                    ),
                ),
                bars(
                    "What fires",
                    "Each alert has a page among the runbooks. Nothing here is as it should be.",
                    NUMBER,
                    Query('sum by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"),
                    steps=[(1, BAD)],
                ),
            ],
            widths=[10, 8, 6],
        ),
        Shelf(
            "Where to look next",
            8,
            [
                lines(
                    "Taps by what became of them",
                    "Refusals are ordinary, as many as there are empty purses; a jump is not. More on the dashboard of taps.",
                    per_second("taps"),
                    Query(f"sum by (outcome) (rate(onecard_taps_total[{RATE}]))", "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "How old things are",
                    "The last check of the books, the oldest batch without a seal, the projection of cards, and the hotlist.",
                    SECONDS,
                    Query(age("onecard_ledger_check_timestamp_seconds"), "last check of the books"),
                    Query(f"max({elected('onecard_ledger_unsealed_age_seconds')})", "oldest unsealed batch"),
                    Query(f"max({elected('onecard_card_projection_age_seconds')})", "projection of cards"),
                    Query(AGE_OF_HOTLIST, "hotlist"),
                ),
                lines(
                    "What went wrong by itself",
                    "Records without a verdict, and duties of housekeeping that failed and are tried again. The log says more.",
                    "suffix: /min",
                    Query(f"sum(rate(onecard_dead_letters_total[{RATE}])) * 60", "dead letters"),
                    Query(f"sum(rate(onecard_duty_failures_total[{RATE}])) * 60 or vector(0)", "failed duties"),
                ),
            ],
        ),
    ],
)
