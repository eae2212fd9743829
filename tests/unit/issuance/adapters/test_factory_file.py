"""What the simulated supplier sends is what the service reads."""

from pathlib import Path

from services.issuance.adapters.delivery_file import read_delivery
from simulation.chips.factory import Factory, delivery_file
from simulation.chips.kind import read_kinds


def test_a_box_of_every_product_is_read_without_a_fault(tmp_path: Path) -> None:
    factory = Factory.keep(tmp_path / "factory.json", "440700")
    for code, kind in read_kinds().items():
        made = list(factory.make(kind, 1, 20))
        delivery, faults = read_delivery(delivery_file(f"BOX-{code.upper()}-1", code, "FACTORY", made), {code}, "440700")
        assert faults == []
        assert delivery is not None
        assert (delivery.box, delivery.product, len(delivery.blanks)) == (f"BOX-{code.upper()}-1", code, 20)
        told = [(blank.serial, bytes.fromhex(blank.card_identifier), blank.account) for blank in delivery.blanks]
        assert told == [(blank.serial, blank.chip.identifier, blank.account) for blank in made]
