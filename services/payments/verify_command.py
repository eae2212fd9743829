"""`verify`: the ledger proved from its first batch on, or behind a seal that is vouched for."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from services.common import topics
from services.common.clock import now_ms
from services.common.environment import ConfigError
from services.payments.adapters.checkpoints import read_checkpoints, with_published
from services.payments.config import Config
from services.payments.handlers.verify_ledger import verify_ledger
from services.payments.operating import out, with_engine


class _RowsASecond(ProgressColumn):
    """How fast the journal is proved."""

    def render(self, task: Task) -> Text:
        """Nothing until it is known."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


def verify(
    checkpoints: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", exists=True, help="Checkpoints; otherwise the file of ONECARD_CHECKPOINTS."),
    ] = None,
    with_topic: Annotated[bool, typer.Option("--with-topic", help="Compare with what ledger.seals keeps, too.")] = False,
    after: Annotated[int, typer.Option(help="Begin behind this seal, which FILE vouches for; 0: at the beginning.")] = 0,
) -> None:
    """Prove that no batch was altered, removed or added since it was sealed; ends with 1 at the first sign of it."""
    config = Config.from_environment()
    file = checkpoints or config.checkpoints
    known, unusable = read_checkpoints(file) if file and file.exists() else ({}, 0)
    if with_topic:
        from services.common.topic_reader import read_topic  # noqa: PLC0415 - half a second

        known = with_published(known, read_topic(config.kafka, topics.SEALS, config.kafka_security))
    if after and after not in known:
        raise ConfigError(f"there is no checkpoint of seal {after} to begin behind")
    with Progress(*Progress.get_default_columns(), _RowsASecond(), console=out, transient=True) as progress:
        task = progress.add_task("proving", total=None)
        proved = with_engine(
            lambda engine: verify_ledger(
                engine,
                config.batch_keys,
                known,
                horizon_days=config.acceptance_horizon_days,
                after=known[after][0] if after else None,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        )
    out.print(f"{proved.seals} seals, {proved.batches} batches and {proved.rows} rows are proved")
    if proved.checkpoints:
        of = f"{file} and {topics.SEALS}" if with_topic else f"{file}"
        out.print(f"{proved.checkpoints} checkpoints of {of} agree; lines of the file that say nothing: {unusable}")
    else:
        out.print("[yellow]no checkpoint was compared[/]: a cut tail, or a chain made anew with the key, would not show")
    if proved.given_up:
        out.print(
            f"[yellow]{proved.given_up} checkpoints were given up[/]: the ledger went back to a moment before them,"
            " by its own note"
        )
    if proved.excused:
        out.print(f"the rows of {proved.excused} batches were folded or detached; their digests are in the chain")
    if proved.unsealed:
        age = (now_ms() - proved.oldest_unsealed_ms) / 1000
        out.print(f"{proved.unsealed} batches are not sealed yet, the oldest of them {age:,.1f} s old")
    if proved.problem:
        out.print(f"[bold red]the ledger was tampered with[/]: {proved.problem}")
        raise typer.Exit(1)
    out.print("[green]every digest and the chain are as they must be[/]")
