"""What not every machine has, and whoever runs all tests wants.

Card readers and printers are services of the operating system, which only root can install: elsewhere the rest still runs.
"""

import os

import pytest


def require(missing: str, variable: str) -> None:
    """Skip where something is missing, or fail where the variable says `required`; empty: nothing is missing."""
    if missing:
        if os.environ.get(variable) == "required":
            pytest.fail(f"{missing}, and {variable}=required")
        pytest.skip(missing)
