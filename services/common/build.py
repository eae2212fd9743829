"""Which version of the software runs, as a metric."""

from importlib.metadata import version
from typing import Final

from prometheus_client import Info

BUILD: Final = Info("onecard_build", "Version of the software")


def show_build() -> None:
    """Say it once, when a process begins."""
    BUILD.info({"version": version("onecard")})
