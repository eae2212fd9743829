"""The clerks of a city that shows itself, with everything that it takes to sign in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyotp

from sdk.window.window import Session, Window


@dataclass(frozen=True, slots=True)
class Clerk:
    """One account."""

    login: str
    role: str
    password: str
    totp_secret: str


def read_clerks(file: Path) -> dict[str, Clerk]:
    """By their logins; a line each."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {line["login"]: Clerk(line["login"], line["role"], line["password"], line["totp_secret"]) for line in lines}


def sign_in(window: Window, clerk: Clerk) -> Session:
    """With the code of this moment."""
    return window.sign_in(clerk.login, clerk.password, pyotp.TOTP(clerk.totp_secret).now())
