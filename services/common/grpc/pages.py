"""Page tokens: where the next page begins, opaque to whoever carries it."""

import base64
import binascii
from typing import Protocol, TypeVar

import msgspec

from services.common.errors import Code, DomainError


class Page(Protocol):
    """A place that a token carries."""

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""


P = TypeVar("P", bound=Page)


def read_token(token: str, kind: type[P]) -> P | None:
    """None for the empty token. Raises DomainError for one that is not ours."""
    if not token:
        return None
    try:
        page = msgspec.msgpack.decode(base64.urlsafe_b64decode(token), type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        page = None
    if page is None or not page.possible:
        raise DomainError(Code.INVALID_ARGUMENT, "BAD_PAGE_TOKEN", "the page token is none of ours")
    return page


def write_token(page: object | None) -> str:
    """Empty behind the last page."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(page)).decode() if page is not None else ""
