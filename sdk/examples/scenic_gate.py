"""A gate at a scenic site: it opens once a tap is on disk, and shows the guard later what each entry came to."""

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
from sdk.merchant.hotlist import Hotlist, Look, Policy, WhenOld
from sdk.merchant.hotlist_puller import HotlistPuller
from sdk.merchant.spool import Answer, Spool
from sdk.merchant.transaction import ScenicEntry

MERCHANT, TERMINAL = "SITE-ISLAND", "HANDHELD-1"
ENTRY = partial(ScenicEntry, merchant_id=MERCHANT, terminal_id=TERMINAL, gate_id="GATE-EAST")
# A guard stands here, so a list of the day before yesterday is a reason to ask; a bus would let people ride.
POLICY = Policy(oldest_seconds=2 * 86_400, when_old=WhenOld.REFUSE)


def show(answers: Sequence[Answer]) -> None:
    """Called in a thread of the client's, so it only prints."""
    for outcome, _ in answers:
        came_to = f"{outcome.charged_fen} fen" if outcome.verdict == VERDICT_POSTED else Reason.Name(outcome.reason)
        print(f"tap {outcome.terminal_sequence}: {came_to}", flush=True)


def main(broker: str, api: str, certificates: str, folder: str, card_api: str) -> None:
    """Let cards pass until the input ends or Ctrl-C comes."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the client says itself, once, what it waits for
    ours, credentials = Path(folder), credentials_in(Path(certificates))
    connect = partial(Access(card_api, credentials).connect, MERCHANT)
    with (
        Spool(ours / "scenic_gate.spool") as spool,
        MerchantClient(broker, spool, Access(api, credentials), on_answers=show) as client,
        Hotlist(ours / "scenic_gate.hotlist", POLICY) as hotlist,
        HotlistPuller(hotlist, connect),
    ):
        with suppress(KeyboardInterrupt):
            for line in sys.stdin:
                card, _, ticket = line.strip().partition(" ")  # perhaps a kind of ticket; no price, the tariff says it
                if (look := hotlist.look(card)) is not Look.CLEAR:
                    print(f"closed: {look.value}", flush=True)
                    continue
                client.submit([ENTRY(card_identifier=card, ticket=ticket, event_time_ms=time.time_ns() // 1_000_000)])
                print("open", flush=True)  # only now: what is on disk is paid or explained, what is in memory may be lost
            client.wait_until_answered(timeout_seconds=30)
        print(f"{client.pending_count} without an outcome, kept for the next run", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
