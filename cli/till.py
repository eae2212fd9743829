"""`onecard till`: payments at a till that waits for the answer."""

from typing import Annotated

import typer

from cli.counter import (
    AmountArgument,
    CardArgument,
    PartArgument,
    PaymentArgument,
    RequestIdOption,
    print_payment,
    print_receipt,
    till_of,
)
from cli.place import Place, at_till

app = typer.Typer(no_args_is_help=True, help="A till that waits for the answer: pay, hold, capture, void, refund.")

TokenOption = Annotated[
    bool, typer.Option("--token", help="what stands in CARD's place is a token that the holder shows, good for once")
]


@app.callback()
def till() -> None:
    """A till that waits for the answer: pay, hold, capture, void, refund.

    The exit status is 0 for an approval, 1 for a decline, 2 for a question that was not accepted, 3 when no answer came.
    """


@app.command()
@at_till
def pay(
    at: Place, card: CardArgument, amount: AmountArgument, token: TokenOption = False, request_id: RequestIdOption = ""
) -> None:
    """Take money of a card at once, or of an electronic card.

    Example, while a city runs in another terminal:

        onecard till pay 440700D1000000000000000000000178 7.50
    """
    with till_of(at) as asked:
        print_receipt(asked.pay("" if token else card, amount, token=card if token else "", request_id=request_id))


@app.command()
@at_till
def hold(
    at: Place,
    card: CardArgument,
    amount: AmountArgument,
    seconds: Annotated[int, typer.Option("--for", metavar="SECONDS", min=0, help="0: as long as the city lets it")] = 0,
    request_id: RequestIdOption = "",
) -> None:
    """Hold money of a card, to be captured later.

    Example: onecard till hold 440700D1000000000000000000000178 30 --for 600
    """
    with till_of(at) as asked:
        print_receipt(asked.hold(card, amount, hold_seconds=seconds, request_id=request_id))


@app.command()
@at_till
def capture(
    at: Place,
    payment: PaymentArgument,
    amount: PartArgument = None,
    more_to_come: Annotated[bool, typer.Option("--more-to-come", help="keep the rest held")] = False,
    request_id: RequestIdOption = "",
) -> None:
    """Take held money; the rest is let go."""
    with till_of(at) as asked:
        print_receipt(asked.capture(payment, amount, more_to_come=more_to_come, request_id=request_id))


@app.command()
@at_till
def void(at: Place, payment: PaymentArgument, request_id: RequestIdOption = "") -> None:
    """Let a hold go, or take back a payment (冲正); one that has not arrived will be refused."""
    with till_of(at) as asked:
        print_receipt(asked.void(payment, request_id=request_id))


@app.command()
@at_till
def refund(at: Place, payment: PaymentArgument, amount: PartArgument = None, request_id: RequestIdOption = "") -> None:
    """Give back what was paid, never more than that."""
    with till_of(at) as asked:
        print_receipt(asked.refund(payment, amount, request_id=request_id))


@app.command()
@at_till
def show(at: Place, payment: PaymentArgument) -> None:
    """A payment of this merchant as it is now."""
    with till_of(at) as asked:
        print_payment(asked.find(payment))
