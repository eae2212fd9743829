"""What requests of any service may hold. Whatever is wrong is named by its field, never by its value."""

from enum import IntEnum
from typing import TypeVar

from services.common.errors import Code, DomainError

N = TypeVar("N", bound=IntEnum)


def bad(field: str, what: str) -> DomainError:
    """The request makes no sense."""
    return DomainError(Code.INVALID_ARGUMENT, "BAD_REQUEST", f"{field}: {what}")


def named(field: str, kind: type[N], number: int) -> N:
    """What a number stands for. Raises DomainError for one that stands for nothing, as one that was left out."""
    try:
        return kind(number)
    except ValueError:
        raise bad(field, "it must be named, and there is none of that number") from None


def identifier(field: str, value: str, longest: int) -> str:
    """Raises DomainError unless it is visible ASCII characters, at least one."""
    if not (0 < len(value) <= longest and value.isascii() and value.isprintable()) or " " in value:
        raise bad(field, f"1 to {longest} visible ASCII characters are wanted")
    return value


def request_id(value: str) -> str:
    """Raises DomainError unless it is 1 to 64 visible ASCII characters."""
    return identifier("request_id", value, 64)


def page_size(value: int, default: int, most: int) -> int:
    """How many are asked for."""
    if not 0 <= value <= most:
        raise bad("page_size", f"1 to {most} are wanted; 0 means {default}")
    return value or default
