"""`onecard window`: the life of a card."""

from typing import Annotated

import typer

from cli.counter import RequestIdOption, console
from cli.desk import CardIdArgument, ask_new_pin, print_card, print_refusal, window_of
from cli.forms import ask_representative
from cli.merchant.show import yuan
from cli.place import Place, at_window
from cli.window_privacy import HolderArgument
from onecard.card.v1 import cards_pb2 as messages

app = typer.Typer()

_PARTIES = {
    "holder": messages.PARTY_HOLDER_IN_PERSON,
    "remote": messages.PARTY_HOLDER_REMOTE,
    "guardian": messages.PARTY_GUARDIAN,
    "proxy": messages.PARTY_PROXY,
    "heir": messages.PARTY_HEIR,
}
_REPRESENTATIVES = ("guardian", "proxy", "heir")
_REASONS = ("deceased", "emigrated", "moved-away")
PartyOption = Annotated[str, typer.Option("--by", help=f"on whose word: {', '.join(_PARTIES)}")]
UnseenOption = Annotated[bool, typer.Option("--unseen", help="no document was read and compared")]
OldCardOption = Annotated[bool, typer.Option("--old-card", help="the old card was given back")]


def _presented(by: str, *, unseen: bool, old_card: bool = False) -> messages.Presented:
    if by not in _PARTIES:
        raise typer.BadParameter(f"{by!r} is none of {', '.join(_PARTIES)}")
    shown = messages.Presented(party=_PARTIES[by], identity_verified=not unseen, old_card_returned=old_card)
    if by in _REPRESENTATIVES:
        shown.representative.CopyFrom(ask_representative(by))
    return shown


def _command(verb: str, help_text: str, default_party: str = "holder") -> None:
    """One command for a verb that takes nothing but the card and what was shown."""

    @at_window
    def command(
        at: Place,
        card: CardIdArgument,
        by: PartyOption = default_party,
        unseen: UnseenOption = False,
        old_card: OldCardOption = False,
        request_id: RequestIdOption = "",
    ) -> None:
        presented = _presented(by, unseen=unseen, old_card=old_card)
        with window_of(at) as asked:
            print_card(getattr(asked, verb.replace("-", "_"))(card, presented, request_id=request_id))

    app.command(verb, help=help_text)(command)


def _with_pin(verb: str, help_text: str) -> None:
    """One command for a verb at which the holder may choose a PIN."""

    @at_window
    def command(
        at: Place,
        card: CardIdArgument,
        by: PartyOption = "holder",
        unseen: UnseenOption = False,
        old_card: OldCardOption = False,
        pin: Annotated[bool, typer.Option("--pin", help="the holder chooses a PIN, and keys it in twice")] = False,
        request_id: RequestIdOption = "",
    ) -> None:
        presented = _presented(by, unseen=unseen, old_card=old_card)
        new_pin = ask_new_pin() if pin else ""
        with window_of(at) as asked:
            print_card(getattr(asked, verb)(card, presented, new_pin=new_pin, request_id=request_id))

    app.command(verb, help=help_text)(command)


_with_pin("collect", "Hand a card over; against the old one (--old-card), if that is not lost.")
_with_pin("enable", "启用 the social function; a successor takes its predecessor's place in that moment.")
_command("activate", "激活 the financial function.")
_command("report-formal-loss", "正式挂失: for good.")
_command("release", "解挂: the card was found.")
_command("unlock", "After too many wrong PINs: the holder in person.")
_command(
    "ask-bank-again", "The bank opened no account; what it objected to is settled, and the next batch carries the card again."
)
_command("extend", "A temporary card lives on.")


@app.command("report-temporary-loss")
@at_window
def report_temporary_loss(
    at: Place,
    card: CardIdArgument,
    by: PartyOption = "remote",
    unseen: UnseenOption = False,
    electronic: Annotated[bool, typer.Option("--electronic", help="the electronic card may be used meanwhile")] = False,
    request_id: RequestIdOption = "",
) -> None:
    """临时挂失: it ends by itself after the city's days. The holder says now whether the electronic card goes on."""
    presented = _presented(by, unseen=unseen)
    with window_of(at) as asked:
        print_card(
            asked.report_temporary_loss(card, presented, electronic_outlives_loss=electronic, request_id=request_id)
        )  # fmt: skip


@app.command()
@at_window
def cancel(
    at: Place,
    card: CardIdArgument,
    reason: Annotated[str, typer.Argument(help=", ".join(_REASONS))],
    remainder_to: Annotated[str, typer.Option(help="where what is left goes: cash, bank")] = "cash",
    by: PartyOption = "holder",
    unseen: UnseenOption = False,
    request_id: RequestIdOption = "",
) -> None:
    """注销, for good. It waits for a second person: give the same command again with its --request-id then."""
    if reason not in _REASONS or remainder_to not in ("cash", "bank"):
        raise typer.BadParameter(f"the reasons are {', '.join(_REASONS)}; what is left goes to cash or bank")
    presented = _presented(by, unseen=unseen)
    with window_of(at) as asked:
        answer = asked.cancel(
            card, reason.replace("-", "_"), presented, remainder_to=remainder_to, request_id=request_id
        )  # fmt: skip
    print_card(answer)
    in_cash = remainder_to == "cash"
    to_hand_out_fen = answer.fees_fen + (answer.remainder_fen if in_cash else 0)
    rest = "; the rest waits to be handed out" if in_cash and answer.remainder_to_come else ""
    console.print(f"to be handed out: {yuan(to_hand_out_fen)} yuan{rest}", highlight=False)
    if not in_cash:
        rest = "; more follows by itself" if answer.remainder_to_come else ""
        console.print(f"to the bank: {yuan(answer.remainder_fen)} yuan{rest}", highlight=False)


@app.command("hand-out")
@at_window
def hand_out(
    at: Place,
    holder: HolderArgument,
    by: PartyOption = "holder",
    unseen: UnseenOption = False,
    request_id: RequestIdOption = "",
) -> None:
    """Hand out what waits in cash: fees that are given back, and what was left when a card was cancelled."""
    presented = _presented(by, unseen=unseen)
    with window_of(at) as asked:
        answer = asked.hand_out(holder, presented, request_id=request_id)
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)
    console.print(f"to be handed out: {yuan(answer.fees_fen + answer.remainder_fen)} yuan", highlight=False)
