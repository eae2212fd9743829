"""Starts the load generator, a process of its own, and accounts for what it sent."""

from bench.programs.load import Sent, read_sent
from bench.stage import LINGER_MS, Stage


async def fill(stage: Stage, taps: int, late_percent: int = 0) -> None:
    """Put so many new taps into the topics, as fast as the broker takes them."""
    await _generate(stage, "fill", {"count": taps, "late-percent": late_percent})


async def emit_steadily(stage: Stage, rate: int, taps: int) -> Sent:
    """Emit so many new taps at a rate (taps a second), whatever comes back."""
    return await _generate(stage, "pace", {"count": taps, "rate": rate, "linger-ms": LINGER_MS[stage.kind]})


async def _generate(stage: Stage, what: str, options: dict[str, int]) -> Sent:
    result = stage.folder / "sent.json"
    common = {"first": stage.emitted + 1, "partitions": stage.partitions}
    arguments = [part for name, value in (common | options).items() for part in (f"--{name}", str(value))]
    told = ("--bootstrap", stage.broker.bootstrap, *arguments)
    await stage.run("load", "bench.programs.load", what, *told, str(result), env=stage.vault)
    sent = read_sent(result)
    stage.account_for(sent)
    return sent
