"""`onecard`: the command that a person types."""

import typer

from cli import (
    admin,
    audit,
    authority_commands,
    blanks,
    card,
    deadletters,
    kiosk,
    kit,
    ledger,
    merchant,
    shift,
    site,
    till,
    tracing,
    window,
)
from cli.backup import commands as backup
from cli.city import commands as city
from cli.doctor.commands import doctor
from cli.restore import commands as restore
from cli.tariff import commands as tariff

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="""The platform behind a city's social security one-card.

    A first look, in this order:

    - `onecard city run` brings a small city to life on the screen; leave it running
    - `onecard doctor` says in plain words what is wrong with it, and what to do
    - `onecard ledger check`, in another terminal, adds up its books
    - `onecard card statement CARD` shows what one card paid
    - `onecard trace PAYMENT` shows its way through all processes; what a payment is called, `onecard trace --help` says
    - `onecard card hotlist` names the cards that terminals must refuse
    - `onecard till pay CARD 7.50` pays at a till, and waits for the answer
    - `onecard window top-up CARD 50` brings money to it
    - `onecard city clerks` shows who can sign in at a window: `onecard window sign-in clerk-3`
    - `onecard window apply --mode instant --photo FILE`, then `onecard window view`
    - `onecard deadletters list` shows records that have no verdict, and `explain` what their causes mean
    - `onecard audit verify` proves what was written down of every act
    - `onecard merchant emit FILE` sends transactions of your own from CSV or JSON Lines
    - `onecard merchant outcomes` shows what became of them
    - `onecard tariff check FILE` says in plain words what a tariff file means; no city needs to run
    - `onecard tariff explain FILE --trip "2026-06-01 08:00 line=12"` shows how a fare comes about
    - `onecard tariff compare OLD NEW --taps FILE` shows who would pay more, and who less
    """,
)
app.add_typer(city.app, name="city")
app.command("trace")(tracing.trace)
app.command()(doctor)
app.add_typer(till.app, name="till")
app.add_typer(window.app, name="window")
app.add_typer(kiosk.app, name="kiosk")
app.add_typer(kit.app, name="kit")
app.add_typer(blanks.app, name="blanks")
app.add_typer(shift.app, name="shift")
app.add_typer(shift.countersign, name="countersign")
merchant.app.registered_commands += site.app.registered_commands
app.add_typer(merchant.app, name="merchant")
app.add_typer(ledger.app, name="ledger")
app.add_typer(deadletters.app, name="deadletters")
app.add_typer(card.app, name="card")
app.add_typer(tariff.app, name="tariff")
app.add_typer(audit.app, name="audit")
app.add_typer(backup.app, name="backup")
app.add_typer(restore.app, name="restore")
app.add_typer(admin.app, name="admin")
app.add_typer(authority_commands.app, name="authority")
