"""The drill of a whole city: the machine of the database, the services and their vaults is lost, and all comes back elsewhere.

What is left is what a city has on other machines: the folder of backups, Kafka, and what custodians bring (PINs, passwords,
private keys). Riders, clerks and tills know nothing of it. The steps are those of docs/backup.md, “The server is lost”.
"""

import os
import shutil
import time
from pathlib import Path

from rich.console import Console

from cli.backup.folder import Backup
from cli.backup.receive import have_commits_wait
from cli.city.backed_up import RECEIVER, back_up
from cli.city.city import City, Plan
from cli.city.ending import catch_up, everything_is_accounted_for
from cli.city.run import INTERRUPTED, ended, throw_away
from cli.city.saying import Say, saying
from cli.city.signals import interruptible
from cli.city.steps import Steps
from cli.restore.finish import NOT_SO, finish, wait_for_end_of_log
from cli.restore.place import place
from cli.servers.child import ServerFailedError
from cli.servers.quarters import UNPRIVILEGED

AGAIN_SECONDS = 120.0
LOOK_SECONDS = 0.5
GOES_ON = {
    "taps and payments are posted again": "select count(*) from payments.batch",
    "cards are made again": "select count(*) from card.card where production = 70",
}


def run_drill(folder: Path, plan: Plan, seconds: float, console: Console) -> int:
    """Exit status. `seconds`: how long the city lives before, and after. The city in `folder` is a new one."""
    throw_away(folder)
    folder.mkdir()
    say, steps = saying(console), Steps(console)
    city = City(folder, plan, steps)
    with interruptible(), ended(city, console):
        try:
            with steps:
                city.start()
            city.supervise(say)
            backup = _is_backed_up(city, folder / "backups", say)
            time.sleep(seconds)
            lost_at = time.monotonic()
            _lose(city, backup, say)
            sound = _restore(city, backup, say)
            _begin_again(city, say, lost_at)
            say("a new receiver, a new backup: the server has another timeline now")
            _is_backed_up(city, folder / "backups-since", say)
            time.sleep(seconds)
            catch_up(city, say)
            agreed = everything_is_accounted_for(city, console)
        except KeyboardInterrupt:
            return INTERRUPTED
    return 0 if sound and agreed else 1


def _is_backed_up(city: City, folder: Path, say: Say) -> Backup:
    backup = back_up(city, folder)
    have_commits_wait(city.state.owner_database_url)
    say(f"backup {backup.name} is taken; from now on a commit waits until its log lies in the second place, too")
    return backup


def _lose(city: City, backup: Backup, say: Say) -> None:
    """Everything at once; whoever receives the log is on another machine."""
    postgres, supervisor = city.servers.postgres, city.supervisor
    supervisor.forget(RECEIVER)
    for child in [supervisor.hold(name) for name in (postgres.name, *city.services)]:
        child.kill()
    shutil.rmtree(postgres.data)
    for file in backup.record.files:
        came_from = Path(file.came_from)
        came_from.unlink()
        came_from.with_suffix(".tries").unlink(missing_ok=True)
    say(f"lost: the database with its disk, {', '.join(city.services)}, and {len(backup.record.files)} files of theirs")


def _restore(city: City, backup: Backup, say: Say) -> bool:
    """The steps of docs/backup.md; answers whether all proofs held."""
    postgres, owner_url = city.servers.postgres, city.state.owner_database_url
    city.processes.forget(RECEIVER)
    say(f"laying backup {backup.name} and the received log on an empty disk …")
    files, owner = city.folder / "restored", UNPRIVILEGED if os.geteuid() == 0 else ""
    segments = place(backup.folder.parent, backup, postgres.data, files, owner_url, owner)
    for file in backup.record.files:  # to where the settings of the services name them
        shutil.copy2(files / Path(file.path).relative_to("files"), file.came_from)
    city.servers.begin(postgres.start)
    wait_for_end_of_log(owner_url)
    say(f"{segments} segments of the log are read; what stands on the database follows")
    settings = {name: {**os.environ, **city.environment, **own} for name, own in city.state.settings_of_services().items()}
    looks = finish(owner_url, settings, frozenset(settings), say)
    for look in looks:
        say(f"a person must look at: {look.cause}: {look.what_to_do}")
    return not any(look.cause.startswith(NOT_SO) for look in looks)


def _begin_again(city: City, say: Say, lost_at: float) -> None:
    """Until people are served; `lost_at` by the monotonic clock."""
    postgres = city.servers.postgres
    counted = {what: (query, postgres.scalar(query)) for what, query in GOES_ON.items()}
    for name in (postgres.name, *city.services):
        city.supervisor.let_go(name)
    for what, (query, before) in counted.items():
        deadline = time.monotonic() + AGAIN_SECONDS
        while postgres.scalar(query) == before:
            if time.monotonic() > deadline:
                raise ServerFailedError(f"waited {AGAIN_SECONDS:.0f} s, and not: {what}")
            time.sleep(LOOK_SECONDS)
        say(f"{what}, {time.monotonic() - lost_at:.0f} s after the loss")
