"""Where a merchant's commands find the API, and the certificates that they show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.city.state import read_state
from sdk.merchant.access import Access, credentials_in

ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api", metavar="HOST:PORT", envvar="ONECARD_API", help="where outcomes come from; by default the running city"
    ),
]
CertificatesOption = Annotated[
    Path | None,
    typer.Option(
        "--certificates",
        metavar="FOLDER",
        envvar="ONECARD_CERTIFICATES",
        help="MERCHANT.crt and MERCHANT.key of each merchant, and authority.crt; by default the running city's",
    ),
]


def access_to(api: str | None, certificates: Path | None) -> Access | None:
    """What was named, else the running city's."""
    if api is None and (state := read_state()):
        api, certificates = state.api, certificates or Path(state.certificates)
    try:
        return Access(api, credentials_in(certificates) if certificates else None) if api else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--certificates") from None
