"""What rides cost where they come in the order of their times, one by one and without a database."""

from collections.abc import Sequence

from sdk.merchant.transaction import SignedRecord
from services.common.database import driver_session
from services.payments.adapters.locking import lock_accounts
from services.payments.adapters.wire import decode
from services.payments.domain.account import HolderAccount
from services.payments.domain.book import Book, Rules
from services.payments.domain.tap import Tap
from tests.support.one_thread import OneThread
from tests.support.town import Town, card_identifier, now_ms, received

STUDENTS = """
[[rule]]
kind = "concession"
name = "students half"
category = "student"
pays_percent = 50
payer = "concession_fund"
"""
"""A rule for a tariff file: with it a change of category changes fares."""
_ENOUGH_FEN = 10**9


async def in_order(town: Town, rules: Rules, cards: Sequence[int], records: Sequence[SignedRecord]) -> dict[int, int]:
    """The charge of each, in fen by sequence, of holders who have enough and have not ridden before."""
    async with driver_session(town.engine) as driver:
        locked = await lock_accounts(driver, [card_identifier(card) for card in cards])
    for account in locked.by_id.values():
        assert isinstance(account, HolderAccount)
        account.usage, account.available_fen = {}, _ENOUGH_FEN
    await town.registry.refresh_if_due()
    await town.verifier.refresh_if_due()
    thread = OneThread(rules, now_ms(), Book(locked.by_card, locked.by_id))
    taps = [tap for record in received(records) if isinstance(tap := decode(record, town.registry, town.verifier), Tap)]
    assert len(taps) == len(records)
    charged = {}
    for tap in sorted(taps, key=lambda tap: tap.place):
        journal = thread.post(taps=[tap])
        charged[tap.sequence] = journal.decided[0].verdict.charged_fen
        charged.update((one.tap.sequence, one.fare.charged_fen) for one in journal.adjusted)
    return charged
