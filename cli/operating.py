"""`onecard` in the image: the commands of who looks after an installation, without a city of its own to start."""

import typer

from cli import deadletters
from cli.doctor.commands import doctor

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Looks after a running installation: what is wrong with it, and which records have no verdict.",
)
app.command()(doctor)
app.add_typer(deadletters.app, name="deadletters")
