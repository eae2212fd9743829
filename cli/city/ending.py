"""The end of a city that was to show its work: no more taps, every outcome awaited, then everything is counted out."""

import os
import time

from rich.console import Console

from cli.city.cards import EXAMPLES, compare
from cli.city.city import City
from cli.city.plastic import count
from cli.city.reconcile import reconcile
from cli.city.saying import Say
from cli.services import run_card, run_issuance, run_payments

CARDS_AGREE = "✓ one live card a person, every state the same in payments, every pointer right, every fee and the hotlist, too"
PLASTIC_AGREES = (
    "✓ every blank in one place, every chip as the registry has it, one number on one card, every till closed to the fen"
)
AWAITED_SECONDS = 60.0
SHIFTS_SECONDS = 60.0
LINE_SECONDS = 2.0
CATCH_UP_SECONDS = 300.0
CATCH_UP_LOOK_SECONDS = 5.0
ON_THEIR_WAY_SECONDS = 30.0
"""Validators that are out of coverage keep theirs so long, some longer."""


def everything_is_accounted_for(city: City, console: Console) -> bool:
    """Stop the taps and the windows, await the outcomes, reconcile sets, cards, blanks and tills, check the books.

    Says what it finds.
    """
    _await_outcomes(city, console)
    console.print("comparing what the terminals sent with what the ledger holds …", highlight=False)
    report = reconcile(city.people.spools, city.environment["ONECARD_DATABASE_URL"])
    console.print(report.render())
    agreed = _cards_agree(city, console)
    counted = _plastic_agrees(city, console)
    environment = {**os.environ, **city.environment}
    balanced = run_payments(["check"], environment) == 0
    rated = run_payments(["check-fares"], environment) == 0
    whole = run_card(["verify-audit"], {**environment, **city.card_environment}) == 0
    issuance = {**environment, **city.issuance_environment}
    sealed = run_issuance(["verify-audit"], issuance) == 0
    moved = run_issuance(["check-blanks"], issuance) == 0
    return balanced and rated and whole and sealed and agreed and counted and moved and not report.problems


def _cards_agree(city: City, console: Console) -> bool:
    console.print("comparing the registry of cards with what payments knows of them …", highlight=False)
    compared = compare(city.environment["ONECARD_OWNER_DATABASE_URL"])
    console.print(f"{compared.cards:,} cards of the registry, {compared.live:,} of them live", highlight=False)
    for problem in compared.problems[:EXAMPLES]:
        console.print(f"✗ {problem}", style="red", highlight=False)
    if compared.problems:
        console.print(f"✗ {len(compared.problems):,} differences", style="red", highlight=False)
        return False
    console.print(CARDS_AGREE, style="green", highlight=False)
    return True


def _plastic_agrees(city: City, console: Console) -> bool:
    console.print("counting blanks, chips and tills …", highlight=False)
    deadline = time.monotonic() + SHIFTS_SECONDS
    while city.windows.alive and time.monotonic() < deadline:  # they close their shifts
        time.sleep(0.1)
    counted = count(city.environment["ONECARD_OWNER_DATABASE_URL"], city.people.plastic)
    states = ", ".join(f"{number:,} {state.name.lower().replace('_', ' ')}" for state, number in sorted(counted.blanks.items()))
    console.print(f"{sum(counted.blanks.values()):,} blanks: {states}; {counted.tills} tills", highlight=False)
    for problem in counted.problems[:EXAMPLES]:
        console.print(f"✗ {problem}", style="red", highlight=False)
    if counted.problems:
        console.print(f"✗ {len(counted.problems):,} differences", style="red", highlight=False)
        return False
    console.print(PLASTIC_AGREES, style="green", highlight=False)
    return True


def _await_outcomes(city: City, console: Console) -> None:
    taps = city.stop_taps()
    said = 0.0
    deadline = time.monotonic() + AWAITED_SECONDS
    while taps.alive and time.monotonic() < deadline:
        now = time.monotonic()
        if now - said >= LINE_SECONDS:
            pending = _pending_taps(city)
            awaited = "the last outcomes" if pending is None else f"{pending:,.0f} outcomes"
            console.print(f"no more taps; awaiting {awaited} …", highlight=False)
            said = now
        time.sleep(0.1)


def catch_up(city: City, say: Say) -> None:
    """Until what lay while something was away is decided: the end of a city has patience for what is on its way alone."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    most = city.plan.rate * ON_THEIR_WAY_SECONDS
    while (pending := _pending_taps(city) or 0.0) > most and time.monotonic() < deadline:
        say(f"{pending:,.0f} taps wait for their outcome …")
        time.sleep(CATCH_UP_LOOK_SECONDS)


def _pending_taps(city: City) -> float | None:
    """How many taps wait for their outcome; None while nobody says."""
    reading = city.read_metrics().get("taps")
    return None if reading is None else reading.get(("onecard_simulation_pending", ()))
