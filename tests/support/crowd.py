"""What random people ask of an arena: collected for each writer, and asked by all of them at once."""

from itertools import count
from typing import NamedTuple

from sdk.merchant.transaction import SignedRecord
from services.payments.adapters import requests
from services.payments.domain.account import AccountStatus
from services.payments.domain.operation import (
    Entry,
    Operation,
    PaymentReference,
)
from services.payments.domain.places import ReservationTerms
from services.payments.domain.tap import Scene
from services.payments.domain.transfer import CNY
from tests.support import model
from tests.support.arena import HOLDERS, HOUR_MS, PURPOSES, WRITERS, Arena, as_caller, ask_and_compare, decide_again, open_world
from tests.support.office import BANK, FUND
from tests.support.town import (
    bus_ride,
    card_identifier,
    now_ms,
    purchase,
)

MOST_PLACES = 3
STATUSES = ["open", "open", "open", "frozen", "closed"]


class Name(NamedTuple):
    """Of a payment: who asks for it, and under which request id."""

    caller: int
    request_id: str


class Authorization(NamedTuple):
    """Of a card's money; under a name of its own or one that may be used already."""

    writer: int
    card: int
    fen: int
    at_once: bool
    hours: int


class Reservation(NamedTuple):
    """Of places for a card's holder."""

    writer: int
    card: int
    places: int
    once: bool
    hours: int


class Step(NamedTuple):
    """What may happen to a payment."""

    kind: str
    writer: int
    by_id: bool
    caller: int
    fen: int | None
    more: bool
    hours: int


class Task(NamedTuple):
    """Of the back office."""

    kind: str
    writer: int
    which: tuple[int, int, int]
    fen: int
    right: bool


class Crowd:
    """Asks in an arena, in a world of its own."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.world = arena.runner.run(open_world(arena))
        self.service = arena.office.service
        self.queues: list[list[tuple[Operation | SignedRecord, int]]] = [[] for _ in range(WRITERS)]
        self.ids = count()
        self.agreed = True

    def ask(self, writer: int, hours: int, operation: Operation, asked: model.Asked) -> None:
        request = operation.request
        self.world.asked[(*request.identity, request.digest)] = asked
        self.world.operations.append(operation)
        self.queues[writer].append((operation, hours))

    def new_id(self) -> str:
        return f"w{self.world.base}-{next(self.ids)}"

    def card(self, number: int) -> str:
        return card_identifier(self.world.base + number)

    # Payments

    def new_name(self, caller: int) -> Name:
        return Name(caller, self.new_id())

    def authorize(self, name: Name, asked: Authorization) -> None:
        hold_ms = 0 if asked.at_once else HOUR_MS
        operation = requests.authorize(
            self.arena.callers[name.caller], name.request_id, self.card(asked.card), asked.fen, capture=asked.at_once,
            hold_ms=hold_ms,
        )  # fmt: skip
        self.ask(
            asked.writer, asked.hours, operation, model.Authorize(self.card(asked.card), asked.fen, asked.at_once, hold_ms)
        )

    def reserve(self, name: Name, asked: Reservation) -> None:
        slot = self.world.slot
        account = self.arena.ledgers[0].places[slot.key]
        terms = ReservationTerms(Scene.SCENIC, account, 0, MOST_PLACES, asked.once, slot.ends_ms)
        operation = requests.reserve(
            self.arena.callers[name.caller], name.request_id, self.card(asked.card), slot, asked.places, terms
        )
        wanted = model.Reserve(
            self.card(asked.card), slot.merchant_id, account, self.arena.rules.places_taken_account, slot.ends_ms, asked.places,
            MOST_PLACES, asked.once,
        )  # fmt: skip
        self.ask(asked.writer, asked.hours, operation, wanted)

    def void(self, name: Name, writer: int) -> None:
        reference = PaymentReference(None, name.request_id)
        operation = requests.void(self.arena.callers[name.caller], self.new_id(), reference)
        self.ask(writer, 0, operation, model.Void(name.request_id))

    def follow(self, name: Name, step: Step) -> None:
        """By name as its own caller; or by id, once it is known, as this or another caller."""
        caller = self.arena.callers[name.caller]
        made = self.world.made.get((caller.number, name.request_id))
        reference = PaymentReference(None, name.request_id)
        of: str | bytes = name.request_id
        if (step.by_id or step.kind == "expire") and made is not None:
            assert made.payment is not None
            reference, of = PaymentReference(made.payment, ""), made.payment
            caller = caller if step.caller < 0 else self.arena.callers[step.caller]
        operation: Operation
        asked: model.Asked
        match step.kind:
            case "capture":
                operation = requests.capture(caller, self.new_id(), reference, step.fen, more_to_come=step.more)
                asked = model.Capture(of, step.fen, step.more)
            case "void":
                operation, asked = requests.void(caller, self.new_id(), reference), model.Void(of)
            case "refund":
                operation = requests.refund(caller, self.new_id(), reference, step.fen)
                asked = model.Refund(of, step.fen)
            case _ if isinstance(of, bytes):
                operation, asked = requests.expire(self.service, of), model.Expire(of)
            case _:
                return
        self.ask(step.writer, step.hours, operation, asked)

    def sweep(self, writer: int, hours: int) -> None:
        """As housekeeping does: expire whatever is still held, whether its time has come or not."""
        for payment, paid in self.world.wanted.payments.items():
            if paid.status == "HELD":
                self.ask(writer, hours, requests.expire(self.service, payment), model.Expire(payment))

    # The back office, taps, and everything once more

    def back_office(self, task: Task) -> None:
        match task.kind:
            case "post":
                self.post(task)
            case "open_purse":
                self.open_purse(task)
            case "open_pot":
                self.open_pot(task)
            case "set_status":
                self.set_status(task)
            case _:
                self.top_up(task)

    def top_up(self, task: Task) -> None:
        account = self.world.holders[task.which[0] % HOLDERS]
        operation = requests.top_up(self.arena.office.window, self.new_id(), account, BANK, task.fen)
        self.ask(task.writer, 0, operation, model.TopUp(account, BANK, task.fen))

    def post(self, task: Task) -> None:
        """Between accounts that are known to be open; a third one takes its part, or gives it."""
        accounts = [*self.world.holders, FUND, *self.world.opened]
        one, other, third = (accounts[number % len(accounts)] for number in task.which)
        if len({one, other, third}) < 3:
            return
        part = task.fen // 3
        taken = [(one, -task.fen), (third, part), (other, task.fen - part)]
        given = [(one, -task.fen), (third, -part), (other, task.fen + part)]
        entries = taken if task.which[0] % 2 else given
        sides = tuple(Entry(account, fen < 0, abs(fen)) for account, fen in entries)
        operation = requests.post(self.service, self.new_id(), sides, CNY, event_time_ms=0, may_overdraw=task.right)
        self.ask(task.writer, 0, operation, model.Post(tuple(entries), task.right))

    def open_purse(self, task: Task) -> None:
        """Every second one is void in an hour, that is for writers whose clocks are ahead."""
        holder, purpose, void = task.which
        number = self.arena.runner.run(self.arena.office.next_number("purse_id"))
        owner, bound_to = self.world.holders[holder % HOLDERS], sorted(PURPOSES)[purpose % len(PURPOSES)]
        void_after = now_ms() + HOUR_MS if void % 2 else 0
        operation = requests.open_account(
            self.service, self.new_id(), number, name="", currency=CNY, guarded=True, overdraft_fen=0,
            purse=requests.new_purse(number, owner, bound_to, void_after, FUND),
        )  # fmt: skip
        self.ask(task.writer, 0, operation, model.OpenPurse(number, owner, bound_to, void_after, FUND))

    def open_pot(self, task: Task) -> None:
        """Few names, so that they are taken."""
        number = self.arena.runner.run(self.arena.office.next_number("back_office_account_id"))
        guarded = bool(task.which[1] % 3)
        name, overdraft = f"pot-{self.world.base}-{task.which[0] % 3}", task.fen if guarded and task.right else 0
        operation = requests.open_account(
            self.service, self.new_id(), number, name=name, currency=CNY, guarded=guarded, overdraft_fen=overdraft, purse=None
        )
        self.ask(task.writer, 0, operation, model.OpenPot(number, name, overdraft, guarded))

    def set_status(self, task: Task) -> None:
        accounts = [*self.world.holders[1:], *self.world.opened]
        account, status = accounts[task.which[0] % len(accounts)], STATUSES[task.which[1] % len(STATUSES)]
        operation = requests.set_account_status(self.service, self.new_id(), account, AccountStatus[status.upper()])
        self.ask(task.writer, 0, operation, model.SetStatus(account, status))

    def tap(self, writer: int, card: int, fen: int, *, rides: bool) -> None:
        at, number = now_ms(), self.world.base + card
        record = bus_ride(number, at_ms=at) if rides else purchase(number, fen, at_ms=at)
        caller = as_caller(self.arena.callers[3] if rides else self.arena.callers[0])
        self.world.tapped[record.digest] = caller, self.card(card), 200 if rides else fen, at
        self.queues[writer].append((record, 0))

    def again(self, writer: int, which: int) -> None:
        """The very same once more."""
        if self.world.operations:
            self.queues[writer].append((self.world.operations[which % len(self.world.operations)], 0))

    # All at once

    @property
    def waiting(self) -> int:
        return sum(map(len, self.queues))

    def go(self) -> None:
        """Ask, and compare."""
        queues, self.queues = self.queues, [[] for _ in range(WRITERS)]
        self.agreed = False
        self.arena.runner.run(ask_and_compare(self.arena, self.world, queues))
        self.agreed = True

    def end(self) -> None:
        """Ask what is left, and let the database alone tell it again. After a difference nothing more can be said."""
        if self.agreed:
            self.go()
            self.arena.runner.run(decide_again(self.arena, self.world))
