"""`onecard shift` and `onecard countersign`: the end of a shift, and a second person's signature."""

from typing import Annotated

import typer

from cli.blanks import print_no
from cli.counter import RequestIdOption, console, parse_fen, time_of
from cli.desk import desk_of, table_of, words
from cli.merchant.show import yuan
from cli.place import Place, at_issuance
from onecard.issuance.v1 import blanks_pb2 as messages
from sdk.window.blanks import Blanks

app = typer.Typer(no_args_is_help=True, help="The end of a shift: count first, then close.")
countersign = typer.Typer(no_args_is_help=True, help="A second person's signature on what somebody else asked for.")


def _fen(text: str) -> int:
    return 0 if text in ("0", "0.00") else parse_fen(text)


@app.command()
@at_issuance
def count(
    at: Place,
    unused: Annotated[int, typer.Option("--unused", min=0, help="blanks that can be used, with those that are being made")],
    cash: Annotated[int, typer.Option("--cash", parser=_fen, metavar="AMOUNT", help="what lies in the till, yuan")],
    spoiled: Annotated[int, typer.Option("--spoiled", min=0, help="spoiled blanks")] = 0,
    lying: Annotated[int, typer.Option("--lying", min=0, help="printed cards that were not handed over")] = 0,
    request_id: RequestIdOption = "",
) -> None:
    """Say what was counted. Only then it is shown what should be there."""
    with desk_of(Blanks, at) as asked:
        answer = asked.count_shift(unused=unused, spoiled=spoiled, lying=lying, cash_fen=cash, request_id=request_id)
    if answer.balance:
        _print_balance(answer.balance)
    console.print(f"counted under {answer.shift_count_id}: onecard shift close {answer.shift_count_id}")


@app.command()
@at_issuance
def close(
    at: Place,
    count_number: Annotated[int, typer.Argument(metavar="COUNT", help="the number of the count")],
    reason: Annotated[str, typer.Option("--reason", help="of a difference in cash, or of an earlier count's; no names")] = "",
    request_id: RequestIdOption = "",
) -> None:
    """Close the shift. A difference in cash, or another count before, has a reason and a second signature; blanks agree."""
    with desk_of(Blanks, at) as asked:
        answer = asked.close_shift(count_number, reason=reason, request_id=request_id)
    if answer.refusal:
        print_no(answer.refusal, answer.countersignature_id, answer.request_id)
    console.print("the shift is closed; what was counted stays in the till")


@countersign.command("list")
@at_issuance
def list_countersignatures(at: Place) -> None:
    """What waits at this outlet, oldest first."""
    with desk_of(Blanks, at) as asked:
        waiting = asked.list_countersignatures()
    table = table_of("number", "act", "what", "asked by", "at", "until")
    for one in waiting:
        detail = ", ".join(f"{name}: {value}" for name, value in sorted(one.detail.items()))
        table.add_row(
            str(one.countersignature_id),
            words(one.act, ""),
            detail,
            str(one.requested_by_staff_id),
            one.terminal.rsplit("/", 1)[-1],
            time_of(one.expire_time_ms),
        )
    console.print(table)


@countersign.command()
@at_issuance
def sign(
    at: Place,
    number: Annotated[int, typer.Argument(help="as `onecard countersign list` shows it")],
    reject: Annotated[str, typer.Option("--reject", metavar="REASON", help="no; and why")] = "",
) -> None:
    """Sign, or reject. Nobody decides about their own."""
    with desk_of(Blanks, at) as asked:
        refusal = asked.countersign(number, sign=not reject, reason=reject)
    if refusal:
        print_no(refusal, 0, "")
    console.print("rejected" if reject else "signed; it is carried out when it is asked for again")


def _print_balance(balance: messages.ShiftBalance) -> None:
    table = table_of("", "blanks", "counted minus books")
    for name in ("opening", "received", "issued", "spoiled", "transferred", "returned", "missing"):
        table.add_row(name, str(getattr(balance, name)), "")
    table.add_row("on hand", str(balance.on_hand), _signed(balance.unused_difference + balance.lying_difference))
    table.add_row("  of these lying", str(balance.lying), _signed(balance.lying_difference))
    table.add_row("spoiled, here", "", _signed(balance.spoiled_difference))
    table.add_row("cash, yuan", yuan(balance.cash_fen), yuan(balance.cash_difference_fen))
    console.print(table)
    if balance.differed_before:
        console.print("another count was handed in before, and differed: --reason and a second signature are wanted")
    if balance.unfinished:
        console.print(f"unfinished: {', '.join(balance.unfinished)}")


def _signed(difference: int) -> str:
    return f"[red]{difference:+}[/]" if difference else "0"
