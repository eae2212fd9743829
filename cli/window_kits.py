"""`onecard window`: what a window does about mobile kits that are lost."""

from typing import Annotated

import typer

from cli.counter import RequestIdOption, console, time_of
from cli.desk import desk_of, table_of
from cli.place import Place, at_window
from sdk.window.kit import Kit

app = typer.Typer()


@app.command("lost-queues")
@at_window
def lost_queues(at: Place, outlet: Annotated[str, typer.Option(help="by default here")] = "") -> None:
    """What mobile kits had queued when they were revoked: their applicants have to be asked to apply again."""
    with desk_of(Kit, at) as asked:
        found = asked.lost_queues(outlet=outlet)
    table = table_of("queue", "kit", "applications", "as said", "staff id")
    for one in found:
        table.add_row(str(one.queue_id), one.terminal, str(one.count), time_of(one.report_time_ms), str(one.staff_id))
    console.print(table if found else "no queue is lost")


@app.command("clear-lost-queue")
@at_window
def clear_lost_queue(
    at: Place,
    queue_id: Annotated[int, typer.Argument(metavar="QUEUE", help="as lost-queues shows it")],
    request_id: RequestIdOption = "",
) -> None:
    """Say that the applicants of a lost queue were asked to apply again; it leaves the list."""
    with desk_of(Kit, at) as asked:
        cleared = asked.clear_lost_queue(queue_id, request_id=request_id)
    console.print(f"{cleared} cleared" if cleared else "there was nothing to clear")
