"""Who may call in a city: a development authority of its own, and a folder of certificates for its merchants' programs."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from cli.authority import Authority
from cli.servers.ports import HOST

OFFICE = "office"
"""The scene of the city's own windows: of each of them it is known which one asks."""


class Registered(msgspec.Struct):
    """A merchant, as the file of the seed has it."""

    merchant_id: str
    scene: str
    terminals: list[str]


class Certificates:
    """The city's authority, and what it has issued. Everything is readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "certificates"
        """Of the merchants: `MERCHANT.crt` and `MERCHANT.key`; of windows `WINDOW@MERCHANT.…`; and `authority.crt`."""
        self._authority = Authority(folder / "authority")

    def of_the_service(self, name: str) -> Mapping[str, str]:
        """The variables by which a service's API process finds its certificate."""
        issued = self._authority.issue(f"onecard://service/{name}", hosts=("localhost", HOST))
        return {
            "ONECARD_TLS_CERTIFICATE": str(issued.certificate),
            "ONECARD_TLS_KEY": str(issued.key),
            "ONECARD_TLS_AUTHORITY": str(self._authority.certificate),
        }

    def of_the_issuer(self) -> Mapping[str, str]:
        """The variables by which the card service finds who signs for terminals."""
        key = self._authority.certificate.with_suffix(".key")
        return {"ONECARD_ISSUER_CERTIFICATE": str(self._authority.certificate), "ONECARD_ISSUER_KEY": str(key)}

    def hand_out(self, registered: Iterable[Registered]) -> None:
        """Give each merchant its certificate, and each window its own; one that is good for some time yet stays."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        _copy(self._authority.certificate, self.folder / "authority.crt")
        for entry in registered:
            merchant = quote(entry.merchant_id, safe="")
            if entry.scene != OFFICE:
                self._give(f"onecard://merchant/{merchant}", merchant)
                continue
            for terminal in (quote(terminal_id, safe="") for terminal_id in entry.terminals):
                self._give(f"onecard://merchant/{merchant}/terminal/{terminal}", f"{terminal}@{merchant}")

    def stand_in_for(self, service: str) -> None:
        """Give the simulation, or an operator, the certificate of the service as which they ask."""
        self._give(f"onecard://service/{service}", f"service+{service}")

    def _give(self, subject: str, name: str) -> None:
        issued = self._authority.issue(subject)
        _copy(issued.key, self.folder / f"{name}.key")
        _copy(issued.certificate, self.folder / f"{name}.crt")


def _copy(file: Path, to: Path) -> None:
    """With its rights, and whole: whoever reads meanwhile finds the old one or the new one."""
    partial = to.with_name(f"{to.name}.partial")
    shutil.copy(file, partial)
    os.replace(partial, to)
