"""How personal data are shown to who need not see them whole: enough to compare, too little to use."""


def masked_name(name: str) -> str:
    """张三 → *三, 欧阳娜娜 → ***娜, JOHN SMITH → J*** S****."""
    if name.isascii():
        return " ".join(part[:1] + "*" * (len(part) - 1) for part in name.split())
    return "*" * (len(name) - 1) + name[-1:] if len(name) > 1 else "*"


def masked_number(number: str) -> str:
    """Of a document: its first and its last character."""
    return number[:1] + "*" * (len(number) - 2) + number[-1:] if len(number) > 2 else "*" * len(number)


def masked_end(number: str) -> str:
    """Of a telephone, a card or a bank account: the last four digits, if there are more to hide."""
    return "*" * (len(number) - 4) + number[-4:] if len(number) >= 8 else "*" * len(number)
