"""`onecard kiosk`: a kiosk of the city, where holders act by themselves."""

from typing import Annotated

import typer

from cli.counter import RequestIdOption, console, time_of
from cli.desk import CardIdArgument, ask_new_pin, ask_pin, desk_of, keep_session, print_card, print_refusal
from cli.holder_view import print_view
from cli.place import Place, at_kiosk
from sdk.window.kiosk import Kiosk

app = typer.Typer(no_args_is_help=True, help="A kiosk of the city: holders act for themselves.")
_NUMBER_LENGTH = 9


@app.callback()
def kiosk() -> None:
    """A kiosk of the city: holders act for themselves, for some minutes after they have shown a card and its PIN."""


@app.command("show-card")
@at_kiosk
def show_card(
    at: Place,
    card: Annotated[str, typer.Argument(metavar="CARD", help="the card identifier, or the nine characters that are printed")],
) -> None:
    """Show a card and key in its PIN. Too many failures in a row lock the card.

    Example: onecard kiosk show-card 440700D1560000050000000178ABCDEF
    """
    pin = ask_pin()
    by = {"card_number" if len(card) == _NUMBER_LENGTH else "card_identifier": card}
    with desk_of(Kiosk, at) as asked:
        let_in = asked.show_card(pin, **by)
        keep_session(at, let_in.token)
    if let_in.refusal:
        print_refusal(let_in.refusal)
    console.print(f"holder {let_in.holder_id} until {time_of(let_in.expire_time_ms)}")


@app.command()
@at_kiosk
def view(at: Place) -> None:
    """What is stored of the holder, masked, and what they may do."""
    with desk_of(Kiosk, at) as asked:
        found = asked.view()
    print_view(found)


def _command(verb: str, help_text: str) -> None:
    @at_kiosk
    def command(at: Place, card: CardIdArgument, request_id: RequestIdOption = "") -> None:
        with desk_of(Kiosk, at) as asked:
            print_card(getattr(asked, verb.replace("-", "_"))(card, request_id=request_id))

    app.command(verb, help=help_text)(command)


_command("enable", "启用 the social function of a card that was collected.")
_command("report-temporary-loss", "临时挂失: it ends by itself after the city's days.")
_command("release", "解挂: the card was found.")


@app.command("change-pin")
@at_kiosk
def change_pin(at: Place, card: CardIdArgument, request_id: RequestIdOption = "") -> None:
    """Another PIN; then the card is shown anew."""
    pin, new_pin = ask_pin(), ask_new_pin()
    with desk_of(Kiosk, at) as asked:
        print_card(asked.change_pin(card, pin, new_pin, request_id=request_id))


@app.command()
@at_kiosk
def leave(at: Place) -> None:
    """The holder goes; whoever comes next is nobody."""
    with desk_of(Kiosk, at) as asked:
        asked.leave()
    keep_session(at, "")
    console.print("nobody stands here")
