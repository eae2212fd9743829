"""Processes of a release, and tills that pay all the time."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sdk.merchant.access import Credentials, open_line
from sdk.till.receipt import Receipt
from sdk.till.till import Till
from tests.support.api import ApiProcess, Front, till_subject
from tests.support.town import BUS, CAMPUS, TERMINALS, card_identifier
from tests.upgrade.release import Release

PAYMENTS_A_LINE: Final = 10


class Running(ApiProcess):
    """A worker or an API process of a release, begun as an operator begins it."""

    module = "services.payments"

    def __init__(self, release: Release, command: str, number: int, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(f"{release.name}-{command}-{number}", folder, {**environment, **release.environment})
        self.release = release
        self.arguments = (command,)
        self.python = release.python
        self.root = release.root

    @property
    def done(self) -> float:
        """How much it has done so far: batches, or calls."""
        return self.metric("onecard_batches_total") if self.arguments == ("streams",) else self.answered("Authorize")


@dataclass(slots=True)
class Tills:
    """Tills that pay one after the other, each on a connection of its own, as long as it lasts."""

    front: Front
    cards: Sequence[int]
    receipts: dict[str, Receipt] = field(default_factory=dict)
    """What was answered, by request id."""
    asked_again: Counter[str] = field(default_factory=Counter)
    """Attempts that failed and were made again by the SDK, by what they were told."""
    failures: list[BaseException] = field(default_factory=list)

    @contextmanager
    def paying(self) -> Iterator[None]:
        over = threading.Event()
        threads = [
            threading.Thread(target=self._pay, args=(n % TERMINALS, (CAMPUS, BUS)[n // TERMINALS], over), daemon=True)
            for n in range(2 * TERMINALS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(40)
        assert not self.failures, self.failures
        assert not any(thread.is_alive() for thread in threads)

    def _pay(self, number: int, merchant_id: str, over: threading.Event) -> None:
        subject = till_subject(number, merchant_id)
        issued = self.front.authority.issue(subject)
        credentials = Credentials(issued.certificate, issued.key, self.front.authority.certificate)
        try:
            while not over.is_set():
                # From time to time anew, so that no process keeps all of them.
                with Till(open_line(self.front.address, subject, credentials), trouble=self._again) as till:
                    for _ in range(PAYMENTS_A_LINE):
                        if over.wait(0.1):
                            break
                        receipt = till.pay(card_identifier(random.choice(self.cards)), random.randint(1, 20))
                        self.receipts[receipt.request_id] = receipt
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def _again(self, trouble: str) -> None:
        self.asked_again[trouble[:60]] += 1
