"""`onecard window`: PINs of cards, keyed in by whoever stands there and seen by nobody."""

from typing import Annotated

import typer

from cli.counter import RequestIdOption, console
from cli.desk import CardIdArgument, ask_new_pin, ask_pin, print_card, print_refusal, window_of
from cli.place import Place, at_window
from onecard.card.v1 import cards_pb2 as messages
from sdk.window.cards import IN_PERSON

app = typer.Typer()


@app.command("verify-pin")
@at_window
def verify_pin(at: Place, card: CardIdArgument) -> None:
    """Is it the card's PIN? Each time is a try, and too many failures in a row lock the card."""
    pin = ask_pin()
    with window_of(at) as asked:
        refusal = asked.verify_pin(card, pin)
    if refusal:
        print_refusal(refusal)
    console.print("it is the PIN")


@app.command("change-pin")
@at_window
def change_pin(at: Place, card: CardIdArgument, request_id: RequestIdOption = "") -> None:
    """Another PIN for a holder who knows the present one."""
    pin, new_pin = ask_pin(), ask_new_pin()
    with window_of(at) as asked:
        print_card(asked.change_pin(card, pin, new_pin, request_id=request_id))


@app.command("reset-pin")
@at_window
def reset_pin(
    at: Place,
    card: CardIdArgument,
    without_document: Annotated[
        bool, typer.Option("--without-document", help="none that can be read; a second person is asked")
    ] = False,
    request_id: RequestIdOption = "",
) -> None:
    """Another PIN for a holder who forgot it, in person; a locked card is unlocked by it."""
    presented = messages.Presented(party=messages.PARTY_HOLDER_IN_PERSON) if without_document else IN_PERSON
    new_pin = ask_new_pin()
    with window_of(at) as asked:
        answer = asked.reset_pin(card, new_pin, presented, without_document=without_document, request_id=request_id)
    print_card(answer)
