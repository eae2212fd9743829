"""What requests of any service may hold. Whatever is wrong is named by its field, never by its value."""

from services.common.errors import Code, DomainError


def bad(field: str, what: str) -> DomainError:
    """The request makes no sense."""
    return DomainError(Code.INVALID_ARGUMENT, "BAD_REQUEST", f"{field}: {what}")


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
