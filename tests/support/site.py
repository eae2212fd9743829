"""A site with a quota beside a town's buses and canteens: its tariff, and a town that rates by it."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

from services.payments.adapters.ledger import Ledger
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.places import Slot
from services.payments.domain.tap import Scene
from services.payments.handlers.post_taps import PostTaps
from tests.support.town import CONFIG, KEY, SCENIC, TARIFFS, Town, now_ms

_FILE = """
city = "X"
scene = "scenic"
source = "a test"
valid_from = 2020-01-01
merchants = ["{site}"]
key = "site"
most_riders = 3
[price]
kind = "flat"
amount_fen = 100
[quota]
places = {places}
reservations = "{reservations}"
"""


def site_tariffs(folder: Path, places: int, reservations: str = "possible") -> Path:
    """The town's tariffs, and the site's, which takes so many a day."""
    copytree(TARIFFS, folder, dirs_exist_ok=True)
    text = _FILE.format(site=SCENIC, places=places, reservations=reservations)
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return folder


async def rate_by(town: Town, tariffs: Path) -> None:
    """The town's postings are rated by these from now on."""
    town.ledger = another_ledger = Ledger(town.engine, await read_rules(town.engine, replace(CONFIG, tariffs=tariffs)), KEY)
    town.post = PostTaps(another_ledger, town.registry, town.verifier)


def today(ledger: Ledger) -> Slot:
    """The site's slot that is open now."""
    tariff = ledger.rules.tariffs.of_merchant(Scene.SCENIC, SCENIC, now_ms())
    assert tariff is not None
    assert tariff.quota is not None
    slot = tariff.quota.slot_at(SCENIC, now_ms())
    assert slot is not None
    return slot
