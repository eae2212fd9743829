"""A canteen's till: a line `PRICE_FEN CARD` is a meal; the cook waits two seconds for the word, and hands it out anyway."""

import logging
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED
from sdk.merchant.access import Access, credentials_in
from sdk.merchant.client import MerchantClient
from sdk.merchant.spool import Spool
from sdk.merchant.told import SpoolReader
from sdk.merchant.transaction import CampusPurchase

MERCHANT, TERMINAL = "CAMPUS-LAKE", "HANDHELD-1"
MEAL = partial(CampusPurchase, merchant_id=MERCHANT, terminal_id=TERMINAL, outlet_id="CANTEEN-1")


def meal(line: str) -> CampusPurchase:
    """Raises ValueError: what is refused here takes no number of the terminal's."""
    price, card = line.split()
    return MEAL(card_identifier=card, price_fen=int(price), event_time_ms=time.time_ns() // 1_000_000)


def main(broker: str, api: str, certificates: str, folder: str) -> None:
    """Sell meals until the input ends or Ctrl-C comes, then say what came of them all."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the client says itself, once, what it waits for
    access = Access(api, credentials_in(Path(certificates)))
    path = Path(folder) / "canteen_pos.spool"
    with Spool(path) as spool, MerchantClient(broker, spool, access) as client, suppress(KeyboardInterrupt):
        for line in sys.stdin:
            try:
                client.submit([meal(line)])
            except ValueError as error:
                print(f"say it again: {error}", flush=True)
                continue
            if not client.wait_until_answered(timeout_seconds=2):
                # It is on disk and will arrive, however long that takes: hungry people in a queue are the greater loss.
                print("no word yet, it follows", flush=True)
                continue
            (told,) = SpoolReader(path).latest(1)
            print(f"paid {told.charged_fen} fen" if told.verdict == VERDICT_POSTED else "not paid", flush=True)
    for tally in SpoolReader(path).tallies():
        print(f"verdict {tally.verdict}: {tally.transactions} meals, {tally.charged_fen} fen", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
