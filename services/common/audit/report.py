"""What a verification found, for whoever asked for it."""

from typing import Final

from rich.console import Console

from services.common.audit.verify import Verified

_SHOWN: Final = 50


def print_verified(out: Console, verified: Verified, *, with_topic: bool) -> bool:
    """Say all of it; False: something is wrong."""
    out.print(f"{verified.seals:,} seals over {verified.rows:,} rows; {verified.published:,} seals compared with the topic")
    if verified.retired:
        out.print(f"{verified.retired:,} rows were taken away after their time: their digests are proved, they are not")
    if verified.given_up:
        first, last = min(verified.given_up), max(verified.given_up)
        out.print(
            f"{len(verified.given_up):,} seals that were published, {first} to {last}, were given up: the installation"
            " went back to a moment before them, by its own note",
            style="yellow",
        )
    if verified.late:
        numbers = ", ".join(map(str, verified.late[:_SHOWN]))
        out.print(
            f"{len(verified.late):,} rows came later than an act's can: nobody sealed then, a clock was wrong, or somebody"
            f" put them there; look at them: {numbers}"
        )
    if not with_topic:
        out.print("the topic was not looked at: a tail that was cut off, or a chain made anew with the key, is not seen")
    for finding in verified.findings[:_SHOWN]:
        out.print(f"✗ {finding.kind.value}: {finding.number}", style="red")
    if verified.findings:
        out.print(f"{len(verified.findings):,} findings", style="red")
        return False
    out.print("the audit is whole", style="green")
    return True
