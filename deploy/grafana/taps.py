"""The hot path: from the terminal to the ledger, and what did not get there."""

from deploy.grafana.expressions import LAG, RATE, elected, fresh_quantile, share
from deploy.grafana.panels import BAD, NUMBER, SECONDS, SHARE, WATCH, Query, Shelf, bars, dashboard, figure, lines, per_second

_PER_MINUTE = "suffix: /min"
_COUNT = "onecard_tap_to_ledger_seconds_count"
_BUCKET = "onecard_tap_to_ledger_seconds_bucket"

TAPS = dashboard(
    "taps",
    "onecard · Taps",
    "The hot path: what terminals send, what the ledger makes of it, how long that takes, and what lies aside.",
    [
        Shelf(
            "What comes, and what becomes of it",
            9,
            [
                lines(
                    "Taps by channel and outcome",
                    "`repeated` is a terminal that did not get its answer and sent again: harmless, but many of them mean that answers are late.",
                    per_second("taps"),
                    Query(f"sum by (channel, outcome) (rate(onecard_taps_total[{RATE}]))", "{{channel}}, {{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Why taps are refused",
                    "INSUFFICIENT_FUNDS is everyday life. HOTLISTED that rises: validators have an old list. BAD_TIME: a clock is off.",
                    _PER_MINUTE,
                    Query(f'sum by (reason) (rate(onecard_taps_total{{outcome="refused"}}[{RATE}])) * 60', "{{reason}}"),
                    stacked=True,
                ),
            ],
        ),
        Shelf(
            "How long it takes",
            9,
            [
                lines(
                    "From the tap to the ledger: half of them, and 99 of 100",
                    "By the terminal's clock, of taps that arrived within a minute of their event; the end of that minute is never shown: 30 s"
                    " means 30 or more. Much more than usual: look at the lag beside it, then at the database.",
                    SECONDS,
                    Query(fresh_quantile(0.5), "p50 {{channel}}"),
                    Query(fresh_quantile(0.99), "p99 {{channel}}"),
                ),
                lines(
                    "Lag by topic",
                    "Since when the oldest record that was fetched and is not posted lies at the broker, by the broker's clock: late"
                    " validators do not show here. Rising for minutes: too few workers, or a database that is slow.",
                    SECONDS,
                    Query(f"max by (topic) ({LAG})", "{{topic}}"),
                    steps=[(30, BAD)],
                ),
                lines(
                    "Taps that come late",
                    "The share that arrived more than a minute after its event: validators out of coverage that send what they kept.",
                    SHARE,
                    Query(
                        "1 - "
                        + share(
                            f'sum by (channel) (rate({_BUCKET}{{le=~"60(\\\\.0)?"}}[{RATE}]))',
                            f"sum by (channel) (rate({_COUNT}[{RATE}]))",
                        ),
                        "{{channel}}",
                    ),
                ),
            ],
            widths=[10, 8, 6],
        ),
        Shelf(
            "What lies aside",
            9,
            [
                lines(
                    "Dead letters by cause",
                    "Records without a verdict. UNKNOWN_CARD decides itself when the card's state comes; WRONG_TAC means that somebody forges."
                    " The causes and what mends them stand among the operations.",
                    _PER_MINUTE,
                    Query(f"sum by (reason) (rate(onecard_dead_letters_total[{RATE}])) * 60", "{{reason}}"),
                    stacked=True,
                ),
                bars(
                    "Dead letters of this page's time, by topic",
                    "All causes together, as many as came in the time that is chosen above.",
                    NUMBER,
                    Query("round(sum by (topic) (increase(onecard_dead_letters_total[$__range])))", "{{topic}}"),
                ),
                figure(
                    "Terminals with gaps",
                    "Of whose numbers some have no verdict. Late ones come and it falls; what stays is lost, or a dead letter.",
                    NUMBER,
                    Query(f"max({elected('onecard_terminals_with_gaps')})", "terminals"),
                    decimals=0,
                ),
                figure(
                    "Numbers without a verdict",
                    "Taps that terminals have made and that never arrived, all terminals together.",
                    NUMBER,
                    Query(f"max({elected('onecard_missing_sequences')})", "numbers"),
                    decimals=0,
                ),
            ],
            widths=[10, 6, 4, 4],
        ),
        Shelf(
            "How the workers do it",
            8,
            [
                lines(
                    "Taps in one transaction",
                    "How many taps share one posting. It grows with the load: that is how workers keep up.",
                    "suffix: taps",
                    Query(
                        share(f"sum(rate(onecard_taps_total[{RATE}]))", f"sum(rate(onecard_batches_total[{RATE}]))"),
                        "taps a transaction",
                    ),
                ),
                lines(
                    "Postings that were tried again",
                    "By SQLSTATE and what was done. AGAIN is an ordinary race; WAIT means that the database was away or full.",
                    _PER_MINUTE,
                    Query(
                        f"sum by (sqlstate, then) (rate(onecard_database_trouble_total[{RATE}])) * 60", "{{sqlstate}} {{then}}"
                    ),
                ),
                lines(
                    "Late taps, and fares that they changed",
                    "Taps that were put before other rides of their holder: the slow way, with adjustments of fares.",
                    _PER_MINUTE,
                    Query(f"sum(rate(onecard_late_taps_total[{RATE}])) * 60", "late taps"),
                    Query(f"sum(rate(onecard_adjustments_total[{RATE}])) * 60", "changed fares"),
                ),
                lines(
                    "Outcomes sent to merchants",
                    "As many as taps, when every merchant listens; more when one catches up.",
                    per_second("outcomes"),
                    Query(f"sum(rate(onecard_outcomes_sent_total[{RATE}]))", "outcomes"),
                ),
                figure(
                    "Age of the card projection",
                    "How old the workers' knowledge of cards is. Payments at tills are refused from 30 s on.",
                    SECONDS,
                    Query(f"max({elected('onecard_card_projection_age_seconds')})", "age"),
                    steps=[(10, WATCH), (30, BAD)],
                    decimals=1,
                ),
            ],
            widths=[5, 5, 5, 5, 4],
        ),
    ],
)
