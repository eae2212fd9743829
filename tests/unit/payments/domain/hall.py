"""A city hall in memory, for the rules alone: tills, a window, the back office, two holders, and what they ask."""

from dataclasses import dataclass
from itertools import count

from services.payments.adapters import requests
from services.payments.domain.account import FIRST_PURSE_ACCOUNT, AccountStatus, HolderAccount, Purpose, Purse
from services.payments.domain.book import Rules
from services.payments.domain.card import Card
from services.payments.domain.operation import Authorize, Entry, Operation, PaymentReference, Ruling
from services.payments.domain.rating.price import Flat, NamedPrice
from services.payments.domain.tap import ITSELF, Scene, Tap, Terminal
from services.payments.domain.tariff import Tariff, Tariffs
from services.payments.domain.transfer import CNY
from tests.support.one_thread import OneThread, a_card

HOUR = 3_600_000
DAY = 24 * HOUR
MIDNIGHT = 1_790_006_400_000  # 2026-09-22 00:00 in the city
NOW = MIDNIGHT + 10 * HOUR
ANN, BOB, STRANGER = 2**32, 2**32 + 1, 2**32 + 2
MEALS, VOUCHER = FIRST_PURSE_ACCOUNT, FIRST_PURSE_ACCOUNT + 1
BANK, FUND, CANTEEN, BUSES, CASH, SCHOOL, GUARDED = 1, 2, 1000, 1001, 1002, 1003, 1010
TILL = Terminal(1, "CANTEEN", "T1", Scene.CAMPUS, CANTEEN, retired=False)
OTHER_TILL = Terminal(2, "CANTEEN", "T2", Scene.CAMPUS, CANTEEN, retired=False)
MERCHANT = Terminal(3, "CANTEEN", ITSELF, Scene.CAMPUS, CANTEEN, retired=False)
BUS = Terminal(4, "BUS", "V1", Scene.BUS, BUSES, retired=False)
BUS_COMPANY = Terminal(5, "BUS", ITSELF, Scene.BUS, BUSES, retired=False)
WINDOW = Terminal(6, "HALL", "W1", Scene.OFFICE, CASH, retired=False)
OFFICE = Terminal(7, "service:settlement", ITSELF, Scene.OFFICE, CASH, retired=False)
TRAINER = Terminal(8, "TRAINING-CENTRE", "T1", Scene.SCENIC, SCHOOL, retired=False)
RULES = Rules(
    Tariffs(
        [
            Tariff(Scene.BUS, 0, Flat(200)),
            Tariff(Scene.CAMPUS, 0, NamedPrice(20_000)),
            Tariff(Scene.SCENIC, 0, Flat(0)),
        ]
    ),
    hotlist_losses_account=3,
    acceptance_horizon_ms=180 * DAY,
    clock_tolerance_ms=600_000,
    hotlist_grace_ms=0,
    purposes={
        "meal-subsidy": Purpose(frozenset({Scene.CAMPUS})),
        "training-voucher": Purpose(merchants=frozenset({"TRAINING-CENTRE"})),
    },
)
_ids = count(1)


def new_id() -> str:
    return f"r-{next(_ids)}"


def holder(
    account_id: int, available_fen: int, *cards: Card, overdraft_fen: int = 0, status: AccountStatus = AccountStatus.OPEN
) -> HolderAccount:
    return HolderAccount(account_id, available_fen, overdraft_fen, status, cards=cards)


def a_purse(
    account_id: int, available_fen: int, purpose: str = "meal-subsidy", *, owner: int = ANN, void_after: int = 0
) -> Purse:
    return Purse(
        account_id,
        available_fen,
        0,
        AccountStatus.OPEN,
        owner=owner,
        purpose=purpose,
        void_after_ms=void_after,
        fund_account=FUND,
    )


def a_hall(*purses: Purse, rules: Rules = RULES, ann: HolderAccount | None = None) -> OneThread:
    """Ann with card A and 10 yuan, Bob with card B and as much; the purses are Ann's."""
    hall = OneThread(rules, NOW)
    first = ann or holder(ANN, 1_000, a_card("A"))
    first.purses.extend(purses)
    hall.add(first, holder(BOB, 1_000, a_card("B")), *purses)
    return hall


@dataclass(frozen=True, slots=True)
class At:
    """What one of them asks."""

    terminal: Terminal

    def pay(self, fen: int, card: str = "A", name: str = "") -> Authorize:
        """At once."""
        return requests.authorize(self.terminal, name or new_id(), card, fen, capture=True, hold_ms=0)

    def hold(self, fen: int, card: str = "A", name: str = "") -> Authorize:
        return requests.authorize(self.terminal, name or new_id(), card, fen, capture=False, hold_ms=HOUR)

    def capture(self, payment: Ruling | str, fen: int | None = None, *, more: bool = False, name: str = "") -> Operation:
        return requests.capture(self.terminal, name or new_id(), reference(payment), fen, more_to_come=more)

    def void(self, payment: Ruling | str, name: str = "") -> Operation:
        return requests.void(self.terminal, name or new_id(), reference(payment))

    def refund(self, payment: Ruling | str, fen: int | None = None) -> Operation:
        return requests.refund(self.terminal, new_id(), reference(payment), fen)

    def expire(self, payment: Ruling) -> Operation:
        assert payment.payment is not None
        return requests.expire(self.terminal, payment.payment)

    def top_up(self, account_id: int, fen: int) -> Operation:
        return requests.top_up(self.terminal, new_id(), account_id, BANK, fen)

    def post(self, *entries: tuple[int, int], overdraw: bool = False, currency: int = CNY, at_ms: int = 0) -> Operation:
        """(account, fen) entries: a credit is positive, a debit negative."""
        sides = tuple(Entry(account_id, fen < 0, abs(fen)) for account_id, fen in entries)
        return requests.post(self.terminal, new_id(), sides, currency, event_time_ms=at_ms, may_overdraw=overdraw)

    def open(self, account_id: int, name: str, *, guarded: bool = True, overdraft_fen: int = 0) -> Operation:
        return requests.open_account(
            self.terminal,
            new_id(),
            account_id,
            name=name,
            currency=CNY,
            guarded=guarded,
            overdraft_fen=overdraft_fen,
            purse=None,
        )

    def open_purse(self, account_id: int, owner: int, *, void_after: int = 0) -> Operation:
        purse = requests.new_purse(account_id, owner, "meal-subsidy", void_after, FUND)
        return requests.open_account(
            self.terminal, new_id(), account_id, name="", currency=CNY, guarded=True, overdraft_fen=0, purse=purse
        )

    def set_status(self, account_id: int, status: AccountStatus) -> Operation:
        return requests.set_account_status(self.terminal, new_id(), account_id, status)


till, other_till, merchant = At(TILL), At(OTHER_TILL), At(MERCHANT)
bus, bus_company, trainer = At(BUS), At(BUS_COMPANY), At(TRAINER)
window, office = At(WINDOW), At(OFFICE)


def reference(payment: Ruling | str) -> PaymentReference:
    """By its id, or by the request id of its Authorize."""
    if isinstance(payment, str):
        return PaymentReference(None, payment)
    assert payment.payment is not None
    return PaymentReference(payment.payment, "")


def a_meal(sequence: int, price_fen: int, *, at_ms: int = NOW, card: str = "A") -> Tap:
    """A tap in the canteen, offline."""
    return Tap(TILL, sequence, sequence.to_bytes(32, "big"), card, at_ms, price_fen)


def a_bus_ride(sequence: int, *, at_ms: int = NOW, card: str = "A") -> Tap:
    """A tap in the bus, offline, for two yuan."""
    return Tap(BUS, sequence, sequence.to_bytes(32, "big"), card, at_ms, None)
