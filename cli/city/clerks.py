"""The demo clerks of a city that shows itself: who can sign in at its windows."""

from pathlib import Path
from typing import Final

import msgspec
import pyotp
from rich.table import Table

BUSY_CLERKS: Final = ("clerk-1", "clerk-2", "clerk-4", "clerk-5", "chief-2")
"""At the windows and the kits of the simulation."""


class DemoClerk(msgspec.Struct):
    """Everything that it takes to sign in."""

    login: str
    role: str
    outlet: str
    password: str
    totp_secret: str


def clerk_table(file: Path) -> Table:
    """Login, role, password, and the code of this moment."""
    table = Table(box=None)
    for column in ("login", "role", "password", "code", "outlet"):
        table.add_column(column, no_wrap=True)
    for line in file.read_text().splitlines():
        clerk = msgspec.json.decode(line, type=DemoClerk)
        code = "at work" if clerk.login in BUSY_CLERKS else pyotp.TOTP(clerk.totp_secret).now()
        table.add_row(clerk.login, clerk.role.lower(), clerk.password, code, clerk.outlet)
    return table
