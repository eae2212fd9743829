"""Cards: who applies, how far each card is, what lies ready to be made into one, and what is later than it should be."""

from deploy.grafana.expressions import AGE_OF_HOTLIST, RATE
from deploy.grafana.panels import BAD, NUMBER, SECONDS, WATCH, Query, Shelf, bars, dashboard, figure, lines

_PER_MINUTE = "suffix: /min"
_STEPS = {
    "ASSIGNED": "1  blanks given to windows",
    "RESERVED": "2  chosen for an applicant",
    "PERSONALISING": "3  chips begun",
    "VERIFIED": "4  chips read back",
    "PRINTED": "5  printed",
    "HANDED_OVER": "6  handed over",
    "SPOILED": "spoiled on the way",
}

CARDS = dashboard(
    "cards",
    "onecard · Cards",
    "From the application to the card in a hand. Overdue applications and places without blanks come first.",
    [
        Shelf(
            "Is anybody waiting too long?",
            5,
            [
                figure(
                    "Applications overdue",
                    "Open ones whose card should be at its outlet by now, by the service level of its kind.",
                    NUMBER,
                    Query("sum(max by (kind, mode) (onecard_applications_overdue))", "applications"),
                    steps=[(1, WATCH), (50, BAD)],
                    decimals=0,
                ),
                figure(
                    "Places short of blanks",
                    "Depot, windows and kits that have fewer than the city wants there.",
                    NUMBER,
                    Query("sum(max by (depot) (blank_low_stock)) or vector(0)", "places"),
                    steps=[(1, WATCH), (10, BAD)],
                    decimals=0,
                ),
                figure(
                    "The bank's oldest answer to come",
                    "Age of the oldest row that the bank has not answered. Days: call the bank.",
                    SECONDS,
                    Query("max(onecard_card_bank_oldest_waiting_seconds)", "age"),
                    steps=[(86_400, WATCH), (3 * 86_400, BAD)],
                    decimals=0,
                ),
                figure(
                    "Messages that wait",
                    "Short messages to holders, neither sent nor given up. Rising: the gateway is away.",
                    NUMBER,
                    Query("max(onecard_notifications_waiting)", "messages"),
                    steps=[(1000, WATCH)],
                    decimals=0,
                ),
                figure(
                    "Not told to the card service",
                    "Makings and issues of which the card service does not know yet. For minutes: it is away.",
                    NUMBER,
                    Query("sum(max by (what) (onecard_issuance_owed))", "cards"),
                    steps=[(1, WATCH), (100, BAD)],
                    decimals=0,
                ),
                figure(
                    "Age of the hotlist",
                    "Every card that was barred before stands on it. More than 15 minutes: page.",
                    SECONDS,
                    Query(AGE_OF_HOTLIST, "age"),
                    steps=[(300, WATCH), (900, BAD)],
                    decimals=0,
                ),
            ],
        ),
        Shelf(
            "From the application to the hand",
            9,
            [
                lines(
                    "Applications decided",
                    "By who brings them and what was said. Refusals have a reason; the log and the work lists name it.",
                    _PER_MINUTE,
                    Query(f"sum by (route, outcome) (rate(onecard_applications_total[{RATE}])) * 60", "{{route}} {{outcome}}"),
                    stacked=True,
                ),
                bars(
                    "The way of the blanks in this page's time",
                    "How many reached each step. A step that far fewer leave than reach is where cards are stuck.",
                    NUMBER,
                    *(
                        Query(
                            f'round(sum(increase(issuance_transitions_total{{to_state="{state}"}}[$__range]))) or vector(0)',
                            words,
                        )
                        for state, words in _STEPS.items()
                    ),
                ),
                lines(
                    "How the making of cards ended",
                    "ISSUED is a card in a hand; CUT is inserted again and goes on; SPOILED costs a blank.",
                    _PER_MINUTE,
                    Query(f"sum by (outcome) (rate(onecard_issuance_streams_total[{RATE}])) * 60", "{{outcome}}"),
                    stacked=True,
                ),
            ],
        ),
        Shelf(
            "What lies ready",
            9,
            [
                bars(
                    "Blanks by place and product",
                    "That can still be made into a card. DEPOT is the depot, the others are outlets with their windows and kits.",
                    NUMBER,
                    Query('max by (depot, product) (blank_card_stock{depot!=""})', "{{depot}}  {{product}}"),
                ),
                bars(
                    "Overdue by kind and way of making",
                    "Of the open applications, those that are later than their service level.",
                    NUMBER,
                    Query("max by (kind, mode) (onecard_applications_overdue)", "{{kind}} {{mode}}"),
                    steps=[(1, WATCH)],
                ),
                lines(
                    "Blanks spoiled, by reason",
                    "BY_HAND is a clerk who says so. One product that is spoiled more than others: a bad delivery.",
                    _PER_MINUTE,
                    Query(
                        f"sum by (product, reason) (rate(onecard_issuance_spoiled_total[{RATE}])) * 60",
                        "{{product}} {{reason}}",
                    ),
                ),
            ],
            widths=[9, 7, 8],
        ),
        Shelf(
            "What is done to cards",
            8,
            [
                lines(
                    "Verbs that were done",
                    "Losses reported, cards activated, locked, cancelled. A wave of losses is news from the street.",
                    _PER_MINUTE,
                    Query(f'sum by (verb) (rate(onecard_card_verbs_total{{outcome="DONE"}}[{RATE}])) * 60', "{{verb}}"),
                    stacked=True,
                ),
                lines(
                    "PINs that were tried",
                    "Many WRONG ones: somebody guesses.",
                    _PER_MINUTE,
                    Query(f"sum by (outcome) (rate(onecard_card_pins_total[{RATE}])) * 60", "{{outcome}}"),
                ),
                lines(
                    "Rows at the bank",
                    "That wait for the bank's file of answers.",
                    NUMBER,
                    Query("max(onecard_card_bank_rows_waiting)", "rows"),
                ),
                lines(
                    "Cards on the hotlist",
                    "Barred cards that validators must know. It grows slowly and shrinks as cards run out.",
                    NUMBER,
                    Query("max(onecard_hotlist_entries)", "cards"),
                ),
                lines(
                    "What the vault of chips refused",
                    "BARRED and NOT_THIS_BLANK are worth a look; COUNT_EXCEEDED always is: somebody asks for more than a card needs.",
                    _PER_MINUTE,
                    Query(
                        f'sum by (outcome) (rate(onecard_issuance_vault_answers_total{{outcome!="DONE"}}[{RATE}])) * 60',
                        "{{outcome}}",
                    ),
                ),
            ],
        ),
    ],
)
