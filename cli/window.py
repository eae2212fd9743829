"""`onecard window`: a window of the city's own; here what it asks of payments."""

from typing import Annotated

import typer
from rich.table import Table

from cli import (
    window_applications,
    window_cards,
    window_electronic,
    window_guardian,
    window_kits,
    window_people,
    window_pins,
    window_privacy,
)
from cli.counter import AmountArgument, CardArgument, RequestIdOption, console, print_receipt, till_of, time_of
from cli.merchant.show import yuan
from cli.place import Place, at_counter, at_window
from onecard.payments.v1.payments_pb2 import TransferCode

app = typer.Typer(help="A window of the city: applications, cards, holders; top-ups and balances.")
for part in (window_people, window_applications, window_cards, window_pins, window_privacy, window_guardian, window_kits):
    app.registered_commands += part.app.registered_commands
app.add_typer(window_electronic.app, name="electronic")


_LANGUAGE = typer.Option("--lang", metavar="LANGUAGE", envvar="ONECARD_LANGUAGE", help="zh, zh-Hant or en")


@app.callback(invoke_without_command=True)
@at_window
def window(
    at: Place,
    context: typer.Context,
    language: Annotated[str, _LANGUAGE] = "zh",
    demo: Annotated[
        bool, typer.Option("--demo", help="virtual cards, reader and printer; demo clerks sign in by a key")
    ] = False,
    payments: Annotated[str, typer.Option("--api", metavar="HOST:PORT", envvar="ONECARD_API", help="payments")] = "",
    issuance: Annotated[
        str, typer.Option("--issuance-api", metavar="HOST:PORT", envvar="ONECARD_ISSUANCE_API", help="issuance")
    ] = "",
    printer: Annotated[str, typer.Option("--printer", metavar="QUEUE", help="of CUPS, that prints cards")] = "",
    kiosk: Annotated[str, typer.Option("--kiosk", metavar="KIOSK", help="for residents, at this kiosk")] = "",
    serve: Annotated[bool, typer.Option("--serve", help="in a browser of this machine instead")] = False,
    port: Annotated[int, typer.Option("--port", help="of --serve; 0: any")] = 0,
    lock_after: Annotated[
        int, typer.Option("--lock-after", min=1, max=300, help="seconds without a key, until the screen is locked")
    ] = 300,
) -> None:
    """A window of the city: applications, cards, holders; top-ups and balances.

    Without a command it is an application in the terminal, for a clerk's whole day: `onecard window --demo` while a city runs.
    """
    if context.invoked_subcommand:
        return
    if serve:
        from cli.terminal import served  # noqa: PLC0415 - a heavy library

        told = {"office": at.office, "card_api": at.api, "certificates": at.certificates, "window": at.terminal}
        more = {"api": payments, "issuance_api": issuance, "lang": language, "demo": demo, "printer": printer, "kiosk": kiosk}
        more |= {"lock_after": lock_after}
        served.serve(served.arguments_of(**told, **more), port, large=bool(kiosk))
        return
    from cli.terminal.start import start, start_kiosk  # noqa: PLC0415 - a heavy library

    if kiosk:
        start_kiosk(at._replace(terminal=kiosk), language=language)
        return
    at_desk = {"payments": payments, "issuance": issuance, "printer": printer}
    start(at, **at_desk, language=language, demo=demo, lock_seconds=lock_after)


@app.command("top-up")
@at_counter
def top_up(
    at: Place,
    card: CardArgument,
    amount: AmountArgument,
    bank: Annotated[bool, typer.Option("--bank", help="from the holder's bank account; otherwise cash")] = False,
    request_id: RequestIdOption = "",
) -> None:
    """Bring money to a card.

    Example, while a city runs in another terminal:

        onecard window top-up 440700D1000000000000000000000178 50
    """
    with till_of(at) as asked:
        print_receipt(asked.top_up(card, amount, bank=bank, request_id=request_id))


@app.command()
@at_counter
def balance(at: Place, card: CardArgument) -> None:
    """What a holder has."""
    with till_of(at) as asked:
        answer = asked.balance(card)
    table = Table("purse", "until")
    for column in ("balance, yuan", "free to spend"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("main purse", "", yuan(answer.balance.amount_fen), yuan(answer.available.amount_fen))
    for purse in answer.purses:
        until = time_of(purse.void_after_ms) if purse.void_after_ms else ""
        table.add_row(purse.purpose, until, yuan(purse.balance.amount_fen), yuan(purse.available.amount_fen))
    console.print(table)


@app.command()
@at_counter
def entries(
    at: Place, card: CardArgument, limit: Annotated[int, typer.Option(min=1, max=500, help="how many of the latest")] = 20
) -> None:
    """The latest entries of a holder's account, newest first."""
    with till_of(at) as asked:
        answer = asked.entries(card, limit=limit)
    table = Table()
    table.add_column("posted", no_wrap=True)
    table.add_column("what")
    table.add_column("where")
    for column in ("change, yuan", "balance"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in answer.entries:
        what = TransferCode.Name(entry.code).removeprefix("TRANSFER_CODE_").lower().replace("_", " ")
        table.add_row(
            time_of(entry.post_time_ms),
            f"{what}, {entry.purpose}" if entry.purpose else what,
            f"{entry.identity.merchant_id} {entry.identity.terminal_id}".removesuffix(" *"),
            yuan(entry.change.amount_fen),
            yuan(entry.balance.amount_fen),
        )
    console.print(table)
