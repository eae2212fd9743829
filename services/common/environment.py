"""Variables of the environment, for the processes of every service."""

from collections.abc import Mapping
from ipaddress import ip_address


class ConfigError(Exception):
    """A variable is missing or wrong; the message names it and says what it should hold."""


def required(env: Mapping[str, str], name: str, what: str) -> str:
    """A variable that must be set. Raises ConfigError."""
    if not (value := env.get(name)):
        raise ConfigError(f"{name} is not set; it must hold {what}")
    return value


def whole(env: Mapping[str, str], name: str, default: int) -> int:
    """A whole number, or the default where none is set. Raises ConfigError."""
    text = env.get(name) or str(default)
    if not text.isdecimal():
        raise ConfigError(f"{name} is {text!r}; it must be a whole number")
    return int(text)


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine; an IPv6 address without its brackets."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere
