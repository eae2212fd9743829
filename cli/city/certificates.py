"""Who may call in a city: a development authority of its own, and a folder of certificates for its merchants' programs."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from cli.authority import Authority
from cli.servers.ports import HOST


class Certificates:
    """The city's authority, and what it has issued. Everything is readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "certificates"
        """Of the merchants: `MERCHANT.crt` and `MERCHANT.key`, and `authority.crt`."""
        self._authority = Authority(folder / "authority")

    def of_the_api(self) -> Mapping[str, str]:
        """The variables by which the API process finds its certificate."""
        issued = self._authority.issue("onecard://service/payments", hosts=("localhost", HOST))
        return {
            "ONECARD_TLS_CERTIFICATE": str(issued.certificate),
            "ONECARD_TLS_KEY": str(issued.key),
            "ONECARD_TLS_AUTHORITY": str(self._authority.certificate),
        }

    def hand_out(self, merchants: Iterable[str]) -> None:
        """Give each merchant its certificate; one that is good for some time yet stays."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        _copy(self._authority.certificate, self.folder / "authority.crt")
        for merchant_id in merchants:
            name = quote(merchant_id, safe="")
            issued = self._authority.issue(f"onecard://merchant/{name}")
            _copy(issued.key, self.folder / f"{name}.key")
            _copy(issued.certificate, self.folder / f"{name}.crt")


def _copy(file: Path, to: Path) -> None:
    """With its rights, and whole: whoever reads meanwhile finds the old one or the new one."""
    partial = to.with_name(f"{to.name}.partial")
    shutil.copy(file, partial)
    os.replace(partial, to)
