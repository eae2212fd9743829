"""The money: do the books balance, when was that seen last, who is owed what, what is held."""

from deploy.grafana.expressions import IMBALANCE_YUAN, RATE, age, elected
from deploy.grafana.panels import BAD, NUMBER, SECONDS, WATCH, YUAN, Query, Shelf, bars, dashboard, figure, lines

_PER_MINUTE = "suffix: /min"
_DAY = 86_400
_OLDEST = "onecard_settlement_oldest_unsettled_timestamp_seconds"
_DIFFERENT = elected("onecard_ledger_difference_accounts")

MONEY = dashboard(
    "money",
    "onecard · Money",
    "The books and what hangs on them. The first shelf must be green and young, always; the rest is business.",
    [
        Shelf(
            "Do the books balance?",
            5,
            [
                figure(
                    "Books out of balance",
                    "Debits minus credits over all accounts. Anything but 0 is a fault of ours: page.",
                    YUAN,
                    Query(IMBALANCE_YUAN, "imbalance"),
                    steps=[(0.01, BAD)],
                    decimals=2,
                ),
                figure(
                    "Accounts that differ",
                    "From their transfers or their live holds. Anything but 0 is a fault; the log names them.",
                    NUMBER,
                    Query(f"max({_DIFFERENT})", "accounts"),
                    steps=[(1, BAD)],
                    decimals=0,
                ),
                figure(
                    "Last check",
                    "How long ago the books were added up. More than five minutes: nobody is elected, or the database is away.",
                    SECONDS,
                    Query(age("onecard_ledger_check_timestamp_seconds"), "age"),
                    steps=[(60, WATCH), (300, BAD)],
                    decimals=0,
                ),
                figure(
                    "Oldest batch without a seal",
                    "Batches are sealed within a second. More than ten: what is posted now could be altered unseen.",
                    SECONDS,
                    Query(f"max({elected('onecard_ledger_unsealed_age_seconds')})", "age"),
                    steps=[(3, WATCH), (10, BAD)],
                    decimals=1,
                ),
                figure(
                    "Newest seal",
                    "How long ago the chain of seals grew. It rests while nothing is posted.",
                    SECONDS,
                    Query(age("onecard_ledger_seal_timestamp_seconds"), "age"),
                    decimals=0,
                ),
                figure(
                    "Last audit of accounts",
                    "How long ago accounts were compared with their transfers. Under load the auditor is behind; an hour is worth a look.",
                    SECONDS,
                    Query(age("onecard_ledger_audit_timestamp_seconds"), "age"),
                    steps=[(3600, WATCH)],
                    decimals=0,
                ),
            ],
        ),
        Shelf(
            "Who is owed what?",
            9,
            [
                bars(
                    "Owed to merchants",
                    "What the city has taken for each merchant and not paid out yet; the 50 greatest, the rest as `other`.",
                    YUAN,
                    Query(f"sort_desc({elected('onecard_settlement_unsettled_fen')}) / 100", "{{counterparty}}"),
                ),
                figure(
                    "Oldest day that is not paid out",
                    "How long ago it began. Merchants are paid on the next working day: more than four days is somebody's mistake.",
                    SECONDS,
                    Query(f"time() - max({elected(_OLDEST)} > 0)", "age"),
                    steps=[(4 * _DAY, WATCH), (7 * _DAY, BAD)],
                    decimals=0,
                ),
                bars(
                    "Paid by funds today",
                    "What left the city's funds since midnight: concessions, lost cards, money that was granted to holders and purses.",
                    YUAN,
                    Query(f"{elected('onecard_today_fund_paid_fen')} / 100", "{{fund}}"),
                ),
            ],
            widths=[12, 5, 7],
        ),
        Shelf(
            "What is held?",
            8,
            [
                lines(
                    "Holds that live",
                    "Payments and reservations of places that were allowed and are not ended.",
                    NUMBER,
                    Query(elected("onecard_holds"), "{{kind}}"),
                ),
                lines(
                    "Money held",
                    "Holders have it, and cannot spend it otherwise.",
                    YUAN,
                    Query(f"max({elected('onecard_held_fen')}) / 100", "held"),
                ),
                figure(
                    "Holds overdue",
                    "They ran out more than a minute ago. Any: the sweeper does nothing.",
                    NUMBER,
                    Query(f"max({elected('onecard_holds_overdue')})", "holds"),
                    steps=[(1, WATCH), (100, BAD)],
                    decimals=0,
                ),
                lines(
                    "Fees and remainders that wait",
                    "What the card service has asked of the ledger and was not posted yet. `to_hand_out` is cash that waits for somebody.",
                    NUMBER,
                    Query("max by (what) (onecard_card_money_waiting)", "{{what}}"),
                ),
            ],
            widths=[7, 6, 4, 7],
        ),
        Shelf(
            "What is asked online?",
            8,
            [
                lines(
                    "Operations by kind",
                    "Payments, captures, top-ups, openings and the rest, whatever they were answered.",
                    _PER_MINUTE,
                    Query(f"sum by (kind) (rate(onecard_operations_total[{RATE}])) * 60", "{{kind}}"),
                    stacked=True,
                ),
                lines(
                    "Operations that were declined, by reason",
                    "Verdicts, not faults. TOKEN_SPENT or TOKEN_UNKNOWN in numbers: somebody shows copies of electronic cards.",
                    _PER_MINUTE,
                    Query(f'sum by (reason) (rate(onecard_operations_total{{outcome="declined"}}[{RATE}])) * 60', "{{reason}}"),
                ),
                lines(
                    "Batches: sealed, and added up again",
                    "How far the seals and the auditor are. The lines run side by side; the auditor falls behind under load and catches up.",
                    NUMBER,
                    Query(f"max({elected('onecard_ledger_sealed_batch')})", "sealed up to"),
                    Query(f"max({elected('onecard_ledger_audited_batch')})", "added up again up to"),
                ),
            ],
        ),
    ],
)
