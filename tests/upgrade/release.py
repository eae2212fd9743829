"""Releases beside each other: this code, the next one, which is this code and a difference, and any commit before."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cli import paths
from services.payments.migrations import SCHEMA

OURS: Final = Path(__file__).parent
LOCK: Final = "requirements-city.txt"
_PARTS: Final = ("services", "proto", "tariffs", "rules", "settings")
"""Of the checkout, what processes of payments are made of."""
_NUMBER: Final = re.compile(r"HEAD\+(\d)")


@dataclass(frozen=True, slots=True)
class Release:
    """One release, as a folder in which its processes run."""

    name: str
    root: Path
    python: Path = Path(sys.executable)

    @classmethod
    def this(cls) -> Self:
        """The code of this checkout."""
        return cls("this", paths.ROOT)

    @classmethod
    def next(cls, folder: Path) -> Self:
        """This code and a difference, as a release after it would be; its messages are built anew."""
        release = cls("next", folder)
        for part in _PARTS:
            shutil.copytree(paths.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        # A repository around the folder would make git look for its files there.
        patch = ["git", "apply", "--whitespace=nowarn", str(OURS / "next_release.patch")]
        subprocess.run(patch, cwd=folder, env={**os.environ, "GIT_DIR": os.devnull}, check=True)
        add_migrations(folder / "services/payments/migrations", int(SCHEMA.head))
        release._build_messages()
        return release

    @classmethod
    def of(cls, commit: str, folder: Path) -> Self:
        """A tag or any other commit of this repository, with an environment of its own where its packages are others."""
        folder.mkdir(parents=True)
        tar = subprocess.run(["git", "archive", commit], cwd=paths.ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "x"], cwd=folder, input=tar, check=True)
        python = Path(sys.executable)
        pip: list[str | Path] = [folder / ".venv/bin/python", "-m", "pip", "install", "-q"]
        if (folder / LOCK).read_bytes() != (paths.ROOT / LOCK).read_bytes():
            subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
            python = folder / ".venv/bin/python"
            subprocess.run([*pip, "--require-hashes", "-r", folder / LOCK], check=True)
        release = cls(commit, folder, python)
        release._build_messages()
        if python.is_relative_to(folder):  # as its Makefile does: its processes ask for their version
            subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", "."], cwd=folder, check=True)
        return release

    def _build_messages(self) -> None:
        (self.root / "gen").mkdir()
        files = sorted(str(file.relative_to(self.root)) for file in self.root.glob("proto/**/*.proto"))
        out = ["--python_out=gen", "--grpc_python_out=gen"]
        subprocess.run([self.python, "-m", "grpc_tools.protoc", "-I", "proto", *out, *files], cwd=self.root, check=True)
        for folder in self.root.glob("gen/onecard/**/"):
            (folder / "__init__.py").touch()

    @property
    def environment(self) -> Mapping[str, str]:
        """So that its own code is imported, whatever is installed."""
        return {"PYTHONPATH": f"{self.root}:{self.root / 'gen'}"}

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A command of it, to its end."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.root,
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def migrate(self, owner_url: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Its schema, as an operator brings it up."""
        return self.run("-m", "services.payments", "migrate", *options, ONECARD_OWNER_DATABASE_URL=owner_url)


def add_migrations(folder: Path, head: int) -> list[Path]:
    """Those of the next release, numbered behind the last one; it needs the first of them."""
    made = []
    for file in sorted((OURS / "next_migrations").glob("*.py")):
        number, _, name = file.name.partition("_")
        made.append(folder / "versions" / f"{head + int(number):04}_{name}")
        made[-1].write_text(_NUMBER.sub(lambda found: f"{head + int(found[1]):04}", file.read_text()))
    init = folder / "__init__.py"
    text = init.read_text()
    init.write_text(re.sub(r'needs="\d+"', f'needs="{head + 1:04}"', text))
    assert init.read_text() != text
    return made
