"""Looking for marked values where they must not be."""

import re


def stands_in(text: str, content: str) -> bool:
    """A short number counts only as a whole: its digits also stand, by chance, in hex and in fractions of seconds."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return re.search(rf"(?<![0-9A-Za-z.]){text}(?![0-9A-Za-z])", content) is not None
    return text in content
