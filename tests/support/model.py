"""The rules of the ledger written once more, with dictionaries and nothing of the product: one thing after the other.

What is asked is a tuple of plain values; an answer is (reason, amount, moved, account), where reason is "" for an approval.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

DAY_MS = 24 * 3_600_000
SHANGHAI_MS = 8 * 3_600_000
FAR = 10**18
MOST_RESERVED = 20


class Caller(NamedTuple):
    number: int
    merchant: str
    terminal: str
    scene: str
    payee: int


class Plastic(NamedTuple):
    """A card: whose it is, the category of the holder, and whether it is locked."""

    holder: int
    category: str = ""
    locked: bool = False


@dataclass
class Pot:
    """An account that is guarded: a holder's, a bound purse, or one of the back office."""

    overdraft: int = 0
    posted: int = 0
    held: int = 0
    status: str = "open"
    owner: int = 0
    purpose: str = ""
    void_after: int = 0
    fund: int = 0

    @property
    def free(self) -> int:
        return self.posted - self.held


@dataclass
class Paid:
    """A payment: [purse, held, captured, refunded] for each purse, in order."""

    caller: Caller
    holder: int
    one_step: bool
    made_at: int
    ends_at: int
    parts: list[list[int]]
    status: str = "HELD"

    places: bool = False
    """Whether it is of places, and no money."""

    def total(self, column: int) -> int:
        return sum(part[column] for part in self.parts)

    @property
    def held(self) -> int:
        return self.total(1) - self.total(2) if self.status == "HELD" else 0

    @property
    def kept(self) -> int:
        return self.total(2) - self.total(3)


class Authorize(NamedTuple):
    card: str
    fen: int
    at_once: bool
    hold_ms: int


class Capture(NamedTuple):
    of: str | bytes
    fen: int | None
    more: bool


class Void(NamedTuple):
    of: str | bytes


class Refund(NamedTuple):
    of: str | bytes
    fen: int | None


class TopUp(NamedTuple):
    holder: int
    source: int
    fen: int


class Post(NamedTuple):
    entries: tuple[tuple[int, int], ...]
    may_overdraw: bool


class OpenPurse(NamedTuple):
    number: int
    holder: int
    purpose: str
    void_after: int
    fund: int


class OpenPot(NamedTuple):
    number: int
    name: str
    overdraft: int
    guarded: bool


class SetStatus(NamedTuple):
    account: int
    status: str


class Expire(NamedTuple):
    of: bytes


class Reserve(NamedTuple):
    """Places of a slot: of the account that counts them, promised to the one that collects what is taken."""

    card: str
    site: str
    account: int
    taken: int
    ends: int
    places: int
    most: int
    once: bool


Asked = Authorize | Capture | Void | Refund | TopUp | Post | OpenPurse | OpenPot | SetStatus | Expire | Reserve
Said = tuple[str, int, int, int]
"""(reason, amount, moved, account)"""


class Limits(NamedTuple):
    one: int
    day: int
    payments: int
    scene: dict[str, int]


@dataclass
class Model:
    """State, and what changes it. `limits` by category, `purposes` as the scenes in which they pay."""

    cards: dict[str, Plastic]
    limits: dict[str, Limits]
    purposes: dict[str, set[str]]
    pots: dict[int, Pot] = field(default_factory=dict)
    others: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Accounts that are not guarded."""
    promised: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    payments: dict[bytes, Paid] = field(default_factory=dict)
    names: dict[tuple[int, str], tuple[str, bytes | None]] = field(default_factory=dict)
    """(caller, name) → what was asked under it, and the payment that it made."""
    taken: set[str] = field(default_factory=set)
    reserved: defaultdict[int, dict[bytes, str]] = field(default_factory=lambda: defaultdict(dict))
    """Holder → reservation → site."""
    spent: dict[int, tuple[int, int, int, dict[str, int]]] = field(default_factory=dict)
    """Holder → (day, fen, payments, fen by scene)."""
    guardians: dict[int, Limits] = field(default_factory=dict)
    """Holder → what a guardian allows, since ever."""
    watched: defaultdict[tuple[int, int], list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    """(holder, day) → (scene, fen) of everything that a child has spent."""

    def decide(self, caller: Caller, name: str, asked: Asked, now: int, handle: bytes | None) -> Said:
        """`handle` is the id that the ledger gave the payment, if this makes one."""
        match asked:
            case Authorize():
                said = self._authorize(caller, asked, now, handle)
                self.names[caller.number, name] = "authorize", None if said[0] else handle
                return said
            case Reserve():
                said = self._reserve(caller, asked, now, handle)
                self.names[caller.number, name] = "authorize", None if said[0] else handle
                return said
            case Void():
                said = self._void(caller, asked, now)
            case Capture():
                said = self._capture(self._find(caller, asked.of), asked)
            case Refund():
                said = self._refund(self._find(caller, asked.of), asked.fen, now)
            case Expire():
                said = self._expire(asked, now)
            case TopUp():
                said = self._top_up(asked)
            case Post():
                said = self._post(asked)
            case OpenPurse():
                said = self._open_purse(asked)
            case OpenPot():
                said = self._open_pot(asked)
            case SetStatus():
                said = self._set_status(asked)
        self.names[caller.number, name] = "other", None
        return said

    def tap(self, caller: Caller, card: str, fen: int, at: int) -> str:
        """A purchase or ride that has happened: whole or not at all, out of purses, money and overdraft."""
        plastic = self.cards[card]
        holder = self.pots[plastic.holder]
        if plastic.locked:
            return "CARD_LOCKED"
        if holder.status != "open":
            return f"ACCOUNT_{holder.status.upper()}"
        if refused := self._over_guardian(plastic.holder, fen, caller.scene, at):
            return refused
        shares = self._shares(plastic.holder, fen, caller, at, holder.overdraft)
        if shares is None:
            return "INSUFFICIENT_FUNDS"
        self._watch(plastic.holder, fen, caller.scene, at)
        for purse, share in shares:
            self._move(purse, caller.payee, share)
        return ""

    # What moves

    def _move(self, debit: int, credit: int, fen: int) -> None:
        for account, change in ((debit, -fen), (credit, fen)):
            if account in self.pots:
                self.pots[account].posted += change
            else:
                self.others[account] += change

    def _shares(self, holder: int, fen: int, caller: Caller, at: int, overdraft: int) -> list[tuple[int, int]] | None:
        bound = [
            (pot.void_after or FAR, number)
            for number, pot in self.pots.items()
            if pot.owner == holder
            and pot.status == "open"
            and at < (pot.void_after or FAR)
            and caller.scene in self.purposes[pot.purpose]
        ]
        shares = []
        for _, number in sorted(bound):
            if share := min(fen, max(0, self.pots[number].free)):
                shares.append((number, share))
                fen -= share
        if fen:
            if fen > self.pots[holder].free + overdraft:
                return None
            shares.append((holder, fen))
        return shares

    # Payments

    def _authorize(self, caller: Caller, asked: Authorize, now: int, handle: bytes | None) -> Said:
        plastic = self.cards[asked.card]
        number, holder = plastic.holder, self.pots[plastic.holder]
        refused = (
            "CARD_LOCKED"
            if plastic.locked
            else f"ACCOUNT_{holder.status.upper()}"
            if holder.status != "open"
            else self._over_limit(plastic, asked.fen, caller.scene, now)
            or self._over_guardian(number, asked.fen, caller.scene, now)
        )
        shares = None if refused else self._shares(number, asked.fen, caller, now, 0)
        if shares is None:
            return refused or "INSUFFICIENT_FUNDS", asked.fen, 0, number
        parts = [[purse, share, share if asked.at_once else 0, 0] for purse, share in shares]
        paid = Paid(caller, number, asked.at_once, now, now + asked.hold_ms, parts)
        for purse, share in shares:
            if asked.at_once:
                self._move(purse, caller.payee, share)
            else:
                self.pots[purse].held += share
                self.promised[caller.payee] += share
        if asked.at_once:
            paid.status = "CAPTURED"
        self.payments[handle or b"the ledger made none"] = paid
        self._watch(number, asked.fen, caller.scene, now)
        day, fen, count, scenes = self._spent(number, now)
        self.spent[number] = day, fen + asked.fen, count + 1, {**scenes, caller.scene: scenes.get(caller.scene, 0) + asked.fen}
        return "", asked.fen, asked.fen if asked.at_once else 0, number

    def _spent(self, holder: int, now: int) -> tuple[int, int, int, dict[str, int]]:
        day = (now + SHANGHAI_MS) // DAY_MS
        spent = self.spent.get(holder)
        return spent if spent and spent[0] >= day else (day, 0, 0, {})

    def _over_limit(self, plastic: Plastic, asked: int, scene: str, now: int) -> str:
        limits = self.limits.get(plastic.category) or self.limits[""]
        _, fen, count, scenes = self._spent(plastic.holder, now)
        if asked > limits.one:
            return "OVER_PAYMENT_LIMIT"
        if fen + asked > limits.day:
            return "OVER_DAY_LIMIT"
        if count >= limits.payments:
            return "OVER_DAY_COUNT"
        if scenes.get(scene, 0) + asked > limits.scene.get(scene, FAR):
            return "OVER_CATEGORY_LIMIT"
        return ""

    def _over_guardian(self, holder: int, asked: int, scene: str, at: int) -> str:
        if holder not in self.guardians or not asked:
            return ""
        limits = self.guardians[holder]
        spent = self.watched[holder, (at + SHANGHAI_MS) // DAY_MS]
        if asked > limits.one:
            return "OVER_GUARDIAN_PAYMENT"
        if sum(fen for _, fen in spent) + asked > limits.day:
            return "OVER_GUARDIAN_DAY"
        if len(spent) >= limits.payments:
            return "OVER_GUARDIAN_COUNT"
        if sum(fen for where, fen in spent if where == scene) + asked > limits.scene.get(scene, FAR):
            return "OVER_GUARDIAN_SCENE"
        return ""

    def _watch(self, holder: int, fen: int, scene: str, at: int) -> None:
        if holder in self.guardians and fen:
            self.watched[holder, (at + SHANGHAI_MS) // DAY_MS].append((scene, fen))

    def _find(self, caller: Caller, of: str | bytes) -> Paid:
        paid = self._look(caller, of)
        assert paid is not None, "the ledger has decided about a payment that is not there"
        return paid

    def _look(self, caller: Caller, of: str | bytes) -> Paid | None:
        handle = of if isinstance(of, bytes) else self.names.get((caller.number, of), ("", None))[1]
        paid = self.payments.get(handle) if handle else None
        if paid is None or caller.number == paid.caller.number:
            return paid
        return paid if caller.terminal == "*" and caller.merchant == paid.caller.merchant else None

    def _capture(self, paid: Paid, asked: Capture) -> Said:
        fen = paid.held if asked.fen is None else asked.fen
        if paid.status != "HELD" or paid.places:
            return "NOT_HELD", fen, 0, paid.holder
        if fen > paid.held:
            return "EXCEEDS_HOLD", fen, 0, paid.holder
        left = fen
        for part in paid.parts:
            share = min(left, part[1] - part[2])
            part[2] += share
            left -= share
            self.pots[part[0]].held -= share
            self.promised[paid.caller.payee] -= share
            self._move(part[0], paid.caller.payee, share)
        if not asked.more or not paid.held:
            self._let_go(paid, "CAPTURED")
        return "", fen, fen, paid.holder

    def _let_go(self, paid: Paid, status: str) -> int:
        left = paid.held
        for part in paid.parts:
            self.pots[part[0]].held -= part[1] - part[2]
            self.promised[paid.caller.payee] -= part[1] - part[2]
        paid.status = status
        if paid.places:
            handle = next(handle for handle, other in self.payments.items() if other is paid)
            del self.reserved[paid.holder][handle]
            return 0
        if left:
            self._make_room(paid, left, 0 if paid.total(2) else 1)
        return left

    def _make_room(self, paid: Paid, given_back: int, payments: int) -> None:
        if paid.holder in self.guardians:
            spent, whole = self.watched[paid.holder, (paid.made_at + SHANGHAI_MS) // DAY_MS], paid.total(1)
            spent.remove((paid.caller.scene, whole))
            if not payments:
                spent.append((paid.caller.scene, whole - given_back))
        day, fen, count, scenes = self.spent.get(paid.holder, (0, 0, 0, {}))
        if day == (paid.made_at + SHANGHAI_MS) // DAY_MS:
            scene = paid.caller.scene
            left = {**scenes, scene: scenes[scene] - given_back}
            self.spent[paid.holder] = day, fen - given_back, count - payments, left

    def _void(self, caller: Caller, asked: Void, now: int) -> Said:
        paid = self._look(caller, asked.of)
        if paid is None:
            assert isinstance(asked.of, str)
            self.names.setdefault((caller.number, asked.of), ("authorize", None))
            assert self.names[caller.number, asked.of] == ("authorize", None)
            return "", 0, 0, 0
        if paid.status == "HELD":
            return "", self._let_go(paid, "CAPTURED" if paid.total(2) else "VOIDED"), 0, paid.holder
        if paid.one_step and not paid.total(3):
            said = self._refund(paid, None, now)
            if not said[0]:
                self._make_room(paid, paid.total(2), 1)
            return said
        return "NOT_HELD", 0, 0, paid.holder

    def _expire(self, asked: Expire, now: int) -> Said:
        paid = self.payments[asked.of]
        if paid.status != "HELD":
            return "NOT_HELD", 0, 0, paid.holder
        assert now >= paid.ends_at, "a hold was let go before its time"
        return "", self._let_go(paid, "CAPTURED" if paid.total(2) else "EXPIRED"), 0, paid.holder

    def _refund(self, paid: Paid, asked: int | None, now: int) -> Said:
        fen = paid.kept if asked is None else asked
        if not 0 < fen <= paid.kept or paid.places:
            return "EXCEEDS_PAID", fen, 0, paid.holder
        if self.pots[paid.holder].status == "closed":
            return "ACCOUNT_CLOSED", fen, 0, paid.holder
        left = fen
        for part in reversed(paid.parts):
            share = min(left, part[2] - part[3])
            part[3] += share
            left -= share
            purse = self.pots[part[0]]
            over = purse.owner and (purse.status == "closed" or now >= (purse.void_after or FAR))
            self._move(paid.caller.payee, purse.fund if over else part[0], share)
        return "", fen, fen, paid.holder

    def _reserve(self, caller: Caller, asked: Reserve, now: int, handle: bytes | None) -> Said:
        plastic = self.cards[asked.card]
        number, holder = plastic.holder, self.pots[plastic.holder]
        places, mine = self.pots[asked.account], self.reserved[number]
        refused = (
            "CARD_LOCKED"
            if plastic.locked
            else f"ACCOUNT_{holder.status.upper()}"
            if holder.status != "open"
            else "OUTSIDE_HOURS"
            if now >= asked.ends
            else "TOO_MANY_RIDERS"
            if asked.places > asked.most
            else "ALREADY_RESERVED"
            if (asked.once and asked.site in mine.values()) or len(mine) == MOST_RESERVED
            else "QUOTA_FULL"
            if places.status != "open" or asked.places > places.free
            else ""
        )
        if not refused:
            places.held += asked.places
            self.promised[asked.taken] += asked.places
            owner = caller._replace(payee=asked.taken, merchant=asked.site)
            parts = [[asked.account, asked.places, 0, 0]]
            self.payments[handle or b"the ledger made none"] = Paid(owner, number, False, now, asked.ends, parts, places=True)
            mine[handle or b""] = asked.site
        return refused, 0, 0, number

    # Accounts

    def _top_up(self, asked: TopUp) -> Said:
        if self.pots[asked.holder].status == "closed":
            return "ACCOUNT_CLOSED", asked.fen, 0, asked.holder
        self._move(asked.source, asked.holder, asked.fen)
        return "", asked.fen, asked.fen, asked.holder

    def _post(self, asked: Post) -> Said:
        amount = sum(fen for _, fen in asked.entries if fen > 0)
        whose = [self.pots[a].owner or a for a, _ in asked.entries if a in self.pots and (self.pots[a].owner or a >= 2**32)]
        owner = whose[0] if whose else asked.entries[0][0]
        for account, fen in asked.entries:
            pot = self.pots.get(account)
            if pot is None:
                continue
            if "closed" in (pot.status, self.pots[pot.owner].status if pot.owner else ""):
                return "ACCOUNT_CLOSED", amount, 0, owner
            if fen < 0 and pot.status == "frozen":
                return "ACCOUNT_FROZEN", amount, 0, owner
        net: defaultdict[int, int] = defaultdict(int)
        for account, fen in asked.entries:
            net[account] += fen
        for account, change in net.items():
            if account in self.pots and change < 0:
                pot = self.pots[account]
                if pot.free + change < -(pot.overdraft if asked.may_overdraw else 0):
                    return "INSUFFICIENT_FUNDS", amount, 0, owner
        for account, change in net.items():
            if account in self.pots:
                self.pots[account].posted += change
            else:
                self.others[account] += change
        return "", amount, amount, owner

    def _open_purse(self, asked: OpenPurse) -> Said:
        if self.pots[asked.holder].status == "closed":
            return "ACCOUNT_CLOSED", 0, 0, asked.holder
        self.pots[asked.number] = Pot(
            owner=asked.holder, purpose=asked.purpose, void_after=asked.void_after, fund=asked.fund
        )  # fmt: skip
        return "", 0, 0, asked.number

    def _open_pot(self, asked: OpenPot) -> Said:
        if asked.name in self.taken:
            return "NAME_TAKEN", 0, 0, 0
        self.taken.add(asked.name)
        if asked.guarded:
            self.pots[asked.number] = Pot(overdraft=asked.overdraft)
        return "", 0, 0, asked.number

    def _set_status(self, asked: SetStatus) -> Said:
        pot = self.pots[asked.account]
        family = [pot, *(other for other in self.pots.values() if other.owner == asked.account)]
        if pot.status == "closed" and asked.status != "closed":
            return "ACCOUNT_STATUS_FINAL", 0, 0, asked.account
        if asked.status == "closed" and any(one.free or one.held for one in family):
            return "ACCOUNT_NOT_EMPTY", 0, 0, asked.account
        pot.status = asked.status
        return "", 0, 0, asked.account
