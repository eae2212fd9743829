"""`onecard window`: what a guardian lets a child spend."""

from typing import Annotated, Final

import typer

from cli.counter import RequestIdOption, console, parse_fen
from cli.desk import print_refusal, window_of
from cli.forms import ask_representative
from cli.merchant.show import yuan
from cli.place import Place, at_window
from cli.window_privacy import HolderArgument
from onecard.card.v1.card_events_pb2 import SpendingLimits

app = typer.Typer()

_WORDS: Final = {
    "payment_fen": "yuan a payment",
    "day_fen": "yuan a day",
    "day_payments": "payments a day",
    "bus_day_fen": "yuan a day in buses",
    "campus_day_fen": "yuan a day at school",
    "scenic_day_fen": "yuan a day at sites",
}


def _parse_limit(text: str) -> int:
    return 0 if text == "0" else parse_fen(text)


def _yuan(name: str, what: str) -> object:
    return typer.Option(name, metavar="YUAN", help=f"{what}; 0: nothing", parser=_parse_limit, show_default=False)


@app.command("limit-spending")
@at_window
def limit_spending(
    at: Place,
    holder: HolderArgument,
    payment: Annotated[int | None, _yuan("--payment", "at most so much at once")] = None,
    day: Annotated[int | None, _yuan("--day", "at most so much a day")] = None,
    payments: Annotated[int | None, typer.Option("--payments", min=0, help="at most so many a day", show_default=False)] = None,
    bus: Annotated[int | None, _yuan("--bus", "at most so much a day in buses")] = None,
    campus: Annotated[int | None, _yuan("--campus", "at most so much a day at school")] = None,
    scenic: Annotated[int | None, _yuan("--scenic", "at most so much a day at sites")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="no limits any more")] = False,
    request_id: RequestIdOption = "",
) -> None:
    """限额: set what a guardian, who stands here with papers, lets a child spend: all limits anew.

    Taps and online payments count together, of all cards of the child. What is not named is not limited. `view` shows them.
    """
    limits = SpendingLimits(
        payment_fen=payment, day_fen=day, day_payments=payments, bus_day_fen=bus, campus_day_fen=campus, scenic_day_fen=scenic
    )
    if lift is bool(limits.ListFields()):
        raise typer.BadParameter("name limits, or --lift")
    guardian = ask_representative("guardian")
    with window_of(at) as asked:
        answer = asked.set_spending_limits(holder, guardian, limits, request_id=request_id)
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)
    print_limits(limits)


def print_limits(limits: SpendingLimits) -> None:
    """A line for all of them."""
    told = [
        f"{value if field.name == 'day_payments' else yuan(value)} {_WORDS[field.name]}" for field, value in limits.ListFields()
    ]
    console.print(f"  a guardian allows at most {', '.join(told)}" if told else "  no guardian limits anything")
