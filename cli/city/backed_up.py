"""A city has no backups by itself: here it gets one, and whoever receives its log in a second place."""

from pathlib import Path

from cli.backup.folder import Backup
from cli.backup.receive import prepare, receiver
from cli.backup.take import take
from cli.city.city import City
from cli.servers.child import Child

RECEIVER = "backup-receiver"


def back_up(city: City, folder: Path) -> Backup:
    """From now on its log is received there, and a backup of this moment lies beside it. Raises BackupError."""
    state = city.state
    prepare(state.owner_database_url)
    command, env = receiver(folder, state.backup_database_url)
    child = Child(RECEIVER, city.folder, command, env=env)
    city.processes.start(child)
    city.watch(child)
    return take(folder, state.backup_database_url, state.settings_of_services())
