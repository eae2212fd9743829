"""`onecard window electronic`: the electronic card."""

from typing import Annotated

import typer

from cli.counter import CardArgument, RequestIdOption, console, time_of
from cli.desk import CardIdArgument, ask_new_pin, ask_pin, print_card, print_refusal, window_of
from cli.place import Place, at_window

app = typer.Typer(no_args_is_help=True, help="The electronic card: sign-up, level, password, tokens.")


def _command(name: str, method: str, help_text: str, *, keyed: bool = False) -> None:
    """One command for a verb; `keyed`: the holder keys a password in, twice."""

    @at_window
    def command(at: Place, card: CardIdArgument, request_id: RequestIdOption = "") -> None:
        given = (ask_new_pin(),) if keyed else ()
        with window_of(at) as asked:
            print_card(getattr(asked, method)(card, *given, request_id=request_id))

    app.command(name, help=help_text)(command)


_command("sign-up", "sign_up", "签发, to query and to show who one is; the holder chooses a password.", keyed=True)
_command("raise-level", "raise_level", "It may pay, too: the card's financial function is active.")
_command("reset-password", "reset_password", "The holder in person, who has forgotten it or tried too often.", keyed=True)
_command("cancel", "cancel_electronic", "The electronic card ends; the physical one stays.")


@app.command()
@at_window
def token(
    at: Place,
    card: CardArgument,
    pay: Annotated[bool, typer.Option("--pay", help="to pay once; otherwise to show who one is")] = False,
) -> None:
    """A token as the holder's telephone gets it: good once, for a minute. The password is asked for.

    Then: onecard till pay TOKEN 7.50 --token, or onecard window view --token TOKEN
    """
    password = ask_pin()
    with window_of(at) as asked:
        issued = asked.issue_token(card, password, to_pay=pay)
    if issued.HasField("refusal"):
        print_refusal(issued.refusal)
    console.print(issued.token, highlight=False)
    console.print(f"good until {time_of(issued.expire_time_ms)}")
