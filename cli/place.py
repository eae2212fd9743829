"""Where a command asks from, and whom: the options that all commands of a till, a window or a kiosk have."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

HALL: Final = "CITY-HALL"
Command = Callable[..., None]


class Place(NamedTuple):
    """A till, a window or a kiosk."""

    office: str
    """Whose it is: a merchant, or an office of the city."""
    api: str | None
    """host:port of the service; None: the running city's."""
    certificates: Path | None
    terminal: str = ""
    """Empty: any of the merchant's."""


OfficeOption = Annotated[str, typer.Option("--office", metavar="OFFICE", envvar="ONECARD_OFFICE", help="whose window it is")]
_WINDOW: Final = Annotated[
    str,
    typer.Option("--window", metavar="WINDOW", envvar="ONECARD_WINDOW", help="which one, with a certificate of its own"),
]
_KIOSK: Final = Annotated[str, typer.Option("--kiosk", metavar="KIOSK", envvar="ONECARD_KIOSK", help="which one")]
_KIT: Final = Annotated[str, typer.Option("--kit", metavar="KIT", envvar="ONECARD_KIT", help="which one")]
_MERCHANT: Final = Annotated[
    str, typer.Option("--merchant", metavar="MERCHANT", envvar="ONECARD_MERCHANT", help="whose till it is")
]
_OPERATOR: Final = Annotated[
    str, typer.Option("--operator", metavar="NAME", envvar="ONECARD_OPERATOR", help="who acts: the name in the certificate")
]
_SITE: Final = Annotated[str, typer.Option("--merchant", metavar="MERCHANT", help="the site")]
_CARD_API: Final = Annotated[
    str | None,
    typer.Option(
        "--card-api", metavar="HOST:PORT", envvar="ONECARD_CARD_API", help="the card service; by default the running city's"
    ),
]
_API: Final = Annotated[
    str | None,
    typer.Option("--api", metavar="HOST:PORT", envvar="ONECARD_API", help="where it asks; by default the running city"),
]
_ISSUANCE_API: Final = Annotated[
    str | None,
    typer.Option(
        "--issuance-api", metavar="HOST:PORT", envvar="ONECARD_ISSUANCE_API", help="issuance; by default the running city's"
    ),
]
_CERTIFICATES: Final = Annotated[
    Path | None,
    typer.Option("--certificates", metavar="FOLDER", envvar="ONECARD_CERTIFICATES", help="by default the running city's"),
]


def _from(*options: Parameter) -> Callable[[Command], Command]:
    """Makes a command of a function whose first parameter is a Place: on the command line these options stand for it."""

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(**given: Any) -> None:
            function(Place(*(given.pop(option.name) for option in options)), **given)

        own = signature(function, eval_str=True)
        parameters = [*list(own.parameters.values())[1:], *options]
        read: Any = command  # typer reads both
        read.__signature__ = own.replace(parameters=parameters)
        read.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def _option(name: str, annotation: Any, default: str | None = None) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_office, _certificates = _option("office", OfficeOption, HALL), _option("certificates", _CERTIFICATES)
_api, _card_api = _option("api", _API), _option("card_api", _CARD_API)
_window, _kiosk = _option("window", _WINDOW, "WINDOW-1"), _option("kiosk", _KIOSK, "KIOSK-1")

at_window = _from(_office, _card_api, _certificates, _window)
"""A window that asks the card service."""
at_issuance = _from(_office, _option("issuance_api", _ISSUANCE_API), _certificates, _window)
"""A window that asks issuance."""
at_counter = _from(_office, _api, _certificates, _window)
"""A window that asks payments."""
at_kiosk = _from(_office, _card_api, _certificates, _kiosk)
at_kit = _from(_office, _card_api, _certificates, _option("kit", _KIT, "KIT-1"))
"""A mobile kit, which is a window on wheels."""
at_till = _from(_option("merchant", _MERCHANT, "CAMPUS-LAKE"), _api, _certificates)
"""A merchant's till."""
at_site = _from(_option("merchant", _SITE, "SITE-GARDEN"), _api, _certificates)
"""The desk of a site whose visitors reserve."""
at_operator = _from(_option("operator", _OPERATOR, "operator-1"), _api, _certificates)
"""Somebody who looks after the city's payments, with a certificate of their own."""
