"""`onecard window`: the life of a card."""

from typing import Annotated

import typer

from cli.counter import CertificatesOption, RequestIdOption, console
from cli.desk import HALL, WINDOW, CardApiOption, CardIdArgument, OfficeOption, WindowOption, print_card, window_of
from cli.forms import DOCUMENT_KINDS, ask_document
from cli.merchant.show import yuan
from onecard.card.v1 import applications_pb2 as applications
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
        typer.echo(f"who acts for the holder ({by})")
        relations = [name.removeprefix("RELATION_").lower() for name in applications.Relation.keys()][1:]  # noqa: SIM118
        relation = typer.prompt(f"relation: {', '.join(relations)}", default="agent")
        shown.representative.CopyFrom(
            applications.Representative(
                relation=f"RELATION_{relation.upper()}",
                document=ask_document(typer.prompt(f"document: {', '.join(DOCUMENT_KINDS)}", default="resident-id")),
                name=typer.prompt("name"),
                papers=[typer.prompt("papers that were shown, as 委托书")],
            )
        )
    return shown


def _command(verb: str, help_text: str, default_party: str = "holder") -> None:
    """One command for a verb that takes nothing but the card and what was shown."""

    def command(
        card: CardIdArgument,
        by: PartyOption = default_party,
        unseen: UnseenOption = False,
        old_card: OldCardOption = False,
        office: OfficeOption = HALL,
        window: WindowOption = WINDOW,
        request_id: RequestIdOption = "",
        card_api: CardApiOption = None,
        certificates: CertificatesOption = None,
    ) -> None:
        presented = _presented(by, unseen=unseen, old_card=old_card)
        with window_of(office, window, card_api, certificates) as asked:
            print_card(getattr(asked, verb.replace("-", "_"))(card, presented, request_id=request_id))

    app.command(verb, help=help_text)(command)


_command("collect", "Hand a card over; against the old one (--old-card), if that is not lost.")
_command("enable", "启用 the social function; a successor takes its predecessor's place in that moment.")
_command("activate", "激活 the financial function.")
_command("report-temporary-loss", "临时挂失: it ends by itself after the city's days.", "remote")
_command("report-formal-loss", "正式挂失: for good.")
_command("release", "解挂: the card was found.")
_command("unlock", "After too many wrong PINs: the holder in person.")
_command("extend", "A temporary card lives on.")


@app.command()
def cancel(
    card: CardIdArgument,
    reason: Annotated[str, typer.Argument(help=", ".join(_REASONS))],
    remainder_to: Annotated[str, typer.Option(help="where what is left goes: cash, bank")] = "cash",
    by: PartyOption = "holder",
    unseen: UnseenOption = False,
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    request_id: RequestIdOption = "",
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """注销, for good. It waits for a second person: give the same command again with its --request-id then."""
    if reason not in _REASONS or remainder_to not in ("cash", "bank"):
        raise typer.BadParameter(f"the reasons are {', '.join(_REASONS)}; what is left goes to cash or bank")
    presented = _presented(by, unseen=unseen)
    with window_of(office, window, card_api, certificates) as asked:
        answer = asked.cancel(
            card, reason.replace("-", "_"), presented, remainder_to=remainder_to, request_id=request_id
        )  # fmt: skip
    print_card(answer)
    rest = "; more follows by itself" if answer.remainder_to_come else ""
    console.print(f"to be handed out: {yuan(answer.remainder_fen)} yuan{rest}", highlight=False)
