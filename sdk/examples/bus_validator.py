"""A bus validator: a card a line comes in, and what became of the ride is shown as soon as the platform has said so."""

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED, Reason
from sdk.merchant.access import Access, credentials_in
from sdk.merchant.client import MerchantClient
from sdk.merchant.hotlist import Hotlist, Look
from sdk.merchant.hotlist_puller import HotlistPuller
from sdk.merchant.spool import Answer, Spool
from sdk.merchant.transaction import BusRide

MERCHANT, TERMINAL = "BUS-HILLS", "HANDHELD-1"
# A ride carries no price: the fare is the tariff's to say, and depends on the rider's other rides.
RIDE = partial(BusRide, merchant_id=MERCHANT, terminal_id=TERMINAL, line_id="LINE-24", stop_id="STOP-04")


def show(answers: Sequence[Answer]) -> None:
    """Called in a thread of the client's, so it only prints."""
    for outcome, _ in answers:
        paid = f"{outcome.charged_fen / 100:.2f} yuan"
        said = paid if outcome.verdict == VERDICT_POSTED else Reason.Name(outcome.reason)
        print(f"tap {outcome.terminal_sequence}: {said}", flush=True)


def main(broker: str, api: str, certificates: str, folder: str, card_api: str) -> None:
    """Read cards until the input ends or Ctrl-C comes."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the client says itself, once, what it waits for
    ours, credentials = Path(folder), credentials_in(Path(certificates))
    connect = partial(Access(card_api, credentials).connect, MERCHANT)
    with (
        Spool(ours / "bus_validator.spool") as spool,
        MerchantClient(broker, spool, Access(api, credentials), on_answers=show) as client,
        Hotlist(ours / "bus_validator.hotlist") as hotlist,
        HotlistPuller(hotlist, connect),
        suppress(KeyboardInterrupt),
    ):
        # Once online is enough: the keys lie beside the spool from then on, and the bus may leave.
        if missing := client.keys.fetch([(MERCHANT, TERMINAL)]):
            sys.exit(f"no key to sign with: {missing[MERCHANT, TERMINAL].reason}")
        for card in map(str.strip, sys.stdin):
            if hotlist.look(card) is not Look.CLEAR:
                print("refused: the card is on the hotlist", flush=True)
                continue
            # On disk when this returns: the power may fail then. Nobody at the door waits for the network.
            client.submit([RIDE(card_identifier=card, event_time_ms=time.time_ns() // 1_000_000)])
        client.wait_until_answered(timeout_seconds=30)  # what is still open then is the next run's


if __name__ == "__main__":
    main(*sys.argv[1:])
