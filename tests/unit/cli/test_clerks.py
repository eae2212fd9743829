"""What a city that shows itself prints of its clerks."""

from pathlib import Path

import pyotp
from rich.console import Console

from cli.city.clerks import clerk_table


def test_a_demo_clerk_is_shown_with_password_and_a_code_that_is_good_now(tmp_path: Path) -> None:
    secret, file = pyotp.random_base32(), tmp_path / "clerks.jsonl"
    line = f'"role":"CLERK","outlet":"440703-01","password":"a password","totp_secret":"{secret}"'
    file.write_text(f'{{"login":"clerk-1",{line}}}\n{{"login":"clerk-3",{line}}}\n')
    console = Console(width=120, record=True)
    console.print(clerk_table(file))
    _, busy, free = console.export_text().splitlines()[:3]
    assert "at work" in busy
    assert "a password" in free
    assert any(pyotp.TOTP(secret).verify(word, valid_window=1) for word in free.split())
    assert secret not in free
