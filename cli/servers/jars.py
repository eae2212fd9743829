"""Apache Kafka's jars: resolved once by their Maven coordinates into an ignored folder."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from cli import paths
from cli.servers.child import ServerFailedError

JAVA_VERSION = 17
NEEDS = f"Apache Kafka needs Java {JAVA_VERSION} or newer and, to be fetched, Maven; without them take BROKER=tansu"


def java() -> str:
    """The Java that runs the broker: from JAVA_HOME, else from PATH."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which(Path(home, "bin", "java")) if home else shutil.which("java")
    if program is None:
        raise ServerFailedError(f"no java found. {NEEDS}")
    return program


def fetch_jars(libs: Path, say: Callable[[str], None]) -> None:
    """Fill `libs` unless it is filled; two that fetch at once wait for each other."""
    if libs.exists():
        return
    _check_java()
    if shutil.which("mvn") is None:
        raise ServerFailedError(f"no mvn found. {NEEDS}")
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (libs.parent / "fetching.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if libs.exists():
            return
        say(f"fetching Apache Kafka's jars into {libs} (once, about 45 MB) …")
        partial = libs.with_name("libs.partial")
        shutil.rmtree(partial, ignore_errors=True)
        _run_maven(partial, say)
        partial.rename(libs)
        say(f"fetched {len(list(libs.iterdir()))} jars")


def _check_java() -> None:
    shown = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', shown)
    if not version or int(version[1]) < JAVA_VERSION:
        raise ServerFailedError(f"{java()} is {shown.splitlines()[0] if shown else 'silent'}. {NEEDS}")


def _run_maven(target: Path, say: Callable[[str], None]) -> None:
    pom = paths.KAFKA_SETTINGS / "pom.xml"
    command = ["mvn", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    lines = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as maven:
        assert maven.stdout is not None
        try:
            for line in maven.stdout:
                lines.append(line.rstrip())
                if fetched := re.search(r"Downloaded from .*/([^/ ]+\.jar) \((.*) at", line):
                    say(f"  {fetched[1]} ({fetched[2]})")
        except BaseException:  # Ctrl-C, SIGTERM: do not wait for a download
            maven.kill()
            raise
    if maven.returncode != 0:
        end = "\n".join(f"  | {line}" for line in lines[-15:])
        raise ServerFailedError(f"Maven could not resolve {pom}:\n{end}")
