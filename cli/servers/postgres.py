"""PostgreSQL from a wheel: one server on loopback with one database, its data kept over restarts."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cli.servers.child import Child, ServerFailedError
from cli.servers.ports import HOST
from cli.servers.quarters import TOOLS, Quarters, outside_of, own, quarters, run_as
from cli.servers.server import Server

DATABASE = "onecard"
OWNER = "onecard"
_OWNERS = "owner"
ROLES = {
    "payments": "onecard_payments",
    "card": "onecard_card",
    "issuance": "onecard_issuance",
    "issuance-vault": "onecard_issuance_vault",
    "backup": "onecard_backup",
}
"""Who each service is for the database, and who takes backups; it owns nothing there."""

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "max_locks_per_transaction": "256",  # an employer's rows lock the names of five hundred newcomers a transaction
    "shared_buffers": "1GB",  # the pages that ten million transfers are posted on, with their indexes
    "fsync": "on",  # the ledger's promise rests on these two
    "synchronous_commit": "on",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "hot_standby": "off",  # one that is being restored answers when it has read all of its log
    "jit": "off",
    "log_line_prefix": "%m [%p] ",
}

ROLE = """\
select 'create role {role} login' where not exists (select from pg_roles where rolname = '{role}') \\gexec
alter role {role} login password '{password}';
"""
CREATE_DATABASE = """\
select 'create database {database}' where not exists (select from pg_database where datname = '{database}') \\gexec
"""


class Postgres(Server):
    """One server for the city in `folder`. Started by root it runs as an unprivileged user, if need be in a folder outside."""

    name = "PostgreSQL"
    stop_seconds = 60

    def __init__(self, folder: Path, port: int | None = None, through: Sequence[str] = ()) -> None:
        """`through` is a command that starts the server, by its full path, such as `/usr/bin/env NAME=VALUE`."""
        super().__init__(folder, port)
        self._through = through
        self._passwords = _keep_passwords(folder / "postgres" / "passwords.json")
        self._quarters: Quarters | None = None

    def start(self) -> None:
        """Make what is missing, start, and wait until it accepts connections; raises ServerFailedError with the log's end."""
        home = self._home
        if not home.data.exists():
            _initialise(home, self._passwords[_OWNERS])
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self._child = Child(
            "postgres",
            self.folder,
            [*self._through, home.binaries / "postgres", "-D", home.data, f"--port={self.port}", *settings],
            port=self.port,
            user=home.user,
            stop_signal=signal.SIGINT,  # end the sessions, write a checkpoint, end
            orphan_signal=signal.SIGQUIT,  # end at once: the write-ahead log is made for that
        )
        self._child.start()
        self._child.wait_ready(self._accepts, f"PostgreSQL accepts connections on {HOST}:{self.port}")
        roles = [ROLE.format(role=role, password=self._passwords[service]) for service, role in ROLES.items()]
        self._psql("postgres", "".join([*roles, CREATE_DATABASE.format(database=DATABASE)]))

    def scalar(self, query: str) -> str:
        """The single value of a query, as text, seen by the owner."""
        return self._psql(DATABASE, query).strip()

    def remove(self) -> None:
        """Stop it and delete its data, also what lies outside the city's folder."""
        self.stop()
        remove_postgres(self.folder)
        self._quarters = None

    @property
    def owner_url(self) -> str:
        """For migrations only: the superuser who owns the database."""
        return self._url(OWNER, self._passwords[_OWNERS])

    @property
    def application_url(self) -> str:
        """The role that payments runs as."""
        return self.url_of("payments")

    def url_of(self, service: str) -> str:
        """The role that a service runs as."""
        return self._url(ROLES[service], self._passwords[service])

    @property
    def data(self) -> Path:
        """Where its files are; outside the city's folder when the server's user cannot enter that."""
        return self._home.data

    @property
    def _home(self) -> Quarters:
        if self._quarters is None:
            self._quarters = quarters(self.folder)
        return self._quarters

    def _url(self, user: str, password: str) -> str:
        return f"postgresql+asyncpg://{user}:{password}@{HOST}:{self.port}/{DATABASE}"

    def _accepts(self) -> bool:
        command = [str(TOOLS / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def session(self, name: str, folder: Path, sql: str) -> Child:
        """A session of the owner's, not yet begun, that runs statements; the database knows its name."""
        env = {"PGPASSWORD": self._passwords[_OWNERS], "PGAPPNAME": name}
        return Child(name, folder, [*self._client(DATABASE), "-c", sql], env=env)

    def _client(self, database: str) -> list[str | Path]:
        place = ("-h", HOST, "-p", str(self.port), "-U", OWNER, "-d", database)
        return [TOOLS / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", *place]

    def _psql(self, database: str, sql: str) -> str:
        done = subprocess.run(
            self._client(database),
            input=sql,
            env={**os.environ, "PGPASSWORD": self._passwords[_OWNERS]},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailedError(f"PostgreSQL on {HOST}:{self.port} refused: {done.stderr.strip()}")
        return done.stdout


def remove_postgres(folder: Path) -> None:
    """Delete the data of the city in `folder`, inside and outside of it; nothing may be running."""
    for home in (folder / "postgres", outside_of(folder)):
        if home.exists():
            shutil.rmtree(home)


def _keep_passwords(file: Path) -> dict[str, str]:
    """Of the owner and of each service's role: random, kept 0600 beside the server; a role that is new gets one."""
    kept = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
    passwords = {who: kept.get(who) or secrets.token_hex(24) for who in (_OWNERS, *ROLES)}
    if passwords != kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(msgspec.json.encode(passwords))
        partial.rename(file)
    return passwords


def _initialise(home: Quarters, password: str) -> None:
    """Run initdb beside the final place and move it there when it is whole: a crash leaves nothing half made."""
    workshop = home.home / "initialising"
    shutil.rmtree(workshop, ignore_errors=True)
    workshop.mkdir(mode=0o700)
    password_file = workshop / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    own(password_file, home.user)
    own(workshop, home.user)
    options = ["-U", OWNER, "-E", "UTF8", "--no-locale", "-A", "scram-sha-256", "--pwfile", str(password_file)]
    done = run_as(home.user, [str(home.binaries / "initdb"), "-D", str(workshop / "data"), *options])
    if done.returncode != 0:
        raise ServerFailedError(f"initdb could not make {home.data}: {done.stderr.strip()}")
    (workshop / "data").rename(home.data)
    shutil.rmtree(workshop)
