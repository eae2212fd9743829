"""Looking for marked values where they must not be."""

import re


def stands_in(text: str, content: str) -> bool:
    """A short number does not count within hex or a fraction of a second, where its digits stand by chance."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return re.search(rf"(?<![0-9A-Fa-f.]){text}(?![0-9A-Fa-f])", content) is not None
    return text in content
