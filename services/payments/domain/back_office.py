"""What the back office and windows ask: money that is brought, postings, and accounts that open, freeze and close. Pure."""

from services.payments.domain.account import Account, AccountStatus, HolderAccount, Purse
from services.payments.domain.operation import OpenAccount, Post, Problem, SetAccountStatus, TopUp
from services.payments.domain.transfer import Code
from services.payments.domain.turn import Finding, Turn
from services.payments.domain.verdict import Reason


def top_up(asked: TopUp, turn: Turn) -> Finding | Problem:
    """Money that comes to a holder."""
    account = turn.book.locked.get(asked.account_id)
    if account is None:
        return Problem.UNKNOWN_ACCOUNT
    if account.status is AccountStatus.CLOSED:
        return Finding(Reason.ACCOUNT_CLOSED, asked.amount_fen, account.id)
    turn.move(Code.TOP_UP, asked.source_account, account.id, asked.amount_fen, account.id)
    return Finding(Reason.NONE, asked.amount_fen, account.id)


def post(asked: Post, turn: Turn) -> Finding | Problem:
    """A balanced set of entries, all or none."""
    amount_fen = sum(entry.amount_fen for entry in asked.entries if entry.debit)
    owner = next(filter(None, (_holder_of(entry.account_id, turn) for entry in asked.entries)), asked.entries[0].account_id)
    for entry in asked.entries:
        account = turn.book.locked.get(entry.account_id)
        if account is None:
            continue
        status = _status(account, turn)
        if status is AccountStatus.CLOSED:
            return Finding(Reason.ACCOUNT_CLOSED, amount_fen, owner)
        if entry.debit and status is AccountStatus.FROZEN:
            return Finding(Reason.ACCOUNT_FROZEN, amount_fen, owner)
    for account_id, change_fen in _net(asked).items():
        account = turn.book.locked.get(account_id)
        if account is not None and change_fen < 0:
            floor_fen = account.overdraft_fen if asked.may_overdraw else 0
            if account.available_fen + floor_fen + change_fen < 0:
                return Finding(Reason.INSUFFICIENT_FUNDS, amount_fen, owner)
    for debit, credit, fen in pair(asked):
        whose = _holder_of(debit, turn) or _holder_of(credit, turn) or debit
        turn.move(Code.BACK_OFFICE, debit, credit, fen, whose, currency=asked.currency, at_ms=asked.event_time_ms)
    return Finding(Reason.NONE, amount_fen, owner)


def _holder_of(account_id: int, turn: Turn) -> int:
    """The holder whose account or purse it is; 0 for an account of the city."""
    account = turn.book.locked.get(account_id)
    if isinstance(account, Purse):
        return account.owner
    return account_id if isinstance(account, HolderAccount) else 0


def _status(account: Account, turn: Turn) -> AccountStatus:
    """A purse is closed with its holder. While its holder is frozen it pays no merchant, but its fund may have it back."""
    if isinstance(account, Purse) and turn.book.locked[account.owner].status is AccountStatus.CLOSED:
        return AccountStatus.CLOSED
    return account.status


def _net(asked: Post) -> dict[int, int]:
    changes: dict[int, int] = {}
    for entry in asked.entries:
        change_fen = -entry.amount_fen if entry.debit else entry.amount_fen
        changes[entry.account_id] = changes.get(entry.account_id, 0) + change_fen
    return changes


def pair(asked: Post) -> list[tuple[int, int, int]]:
    """(debit account, credit account, fen) of the transfers: debits and credits paired in the order given.

    The domain is told balanced sets alone; who breaks that is a caller of ours.
    """
    debited = [e for e in asked.entries if e.debit]
    credited = [e for e in asked.entries if not e.debit]
    assert sum(e.amount_fen for e in debited) == sum(e.amount_fen for e in credited), "unbalanced sets are refused before"
    transfers = []
    sides = iter(credited)
    credit, due_fen = 0, 0
    for debit, _, amount_fen in debited:
        rest_fen = amount_fen
        while rest_fen:
            if not due_fen:
                credit, _, due_fen = next(sides)
            fen = min(rest_fen, due_fen)
            transfers.append((debit, credit, fen))
            rest_fen -= fen
            due_fen -= fen
    return transfers


def open_account(asked: OpenAccount, turn: Turn) -> Finding | Problem:
    """An account of the city, or a holder's purse."""
    if asked.name and asked.name in turn.book.names:
        return Finding(Reason.NAME_TAKEN, 0)
    if asked.purse is not None:
        holder = turn.book.locked.get(asked.purse.owner)
        if not isinstance(holder, HolderAccount):
            return Problem.UNKNOWN_ACCOUNT
        if holder.status is AccountStatus.CLOSED:
            return Finding(Reason.ACCOUNT_CLOSED, 0, holder.id)
        if refusal := _refuse_purse(asked.purse, holder, turn):
            return Finding(refusal, 0, holder.id)
    turn.book.names.add(asked.name)
    turn.journal.opened.append(asked)
    return Finding(Reason.NONE, 0, asked.account_id)


def _refuse_purse(purse: Purse, holder: HolderAccount, turn: Turn) -> Reason | None:
    purpose = turn.rules.purposes.get(purse.purpose)
    if purpose is None:
        return None
    if purpose.longest_ms and not 0 < purse.void_after_ms <= turn.now_ms + purpose.longest_ms:
        return Reason.PURSE_TOO_LONG
    same = [other for other in holder.purses if other.purpose == purse.purpose and other.status is not AccountStatus.CLOSED]
    opened = [asked.purse for asked in turn.journal.opened if asked.purse is not None and asked.purse.owner == holder.id]
    same += [other for other in opened if other.purpose == purse.purpose]
    if purpose.one_at_a_time and not all(other.void_at(turn.now_ms) for other in same):
        return Reason.PURSE_STILL_VALID
    return None


def set_status(asked: SetAccountStatus, turn: Turn) -> Finding | Problem:
    """Freeze, open again, or close; what is closed stays so."""
    account = turn.book.locked.get(asked.account_id)
    if account is None:
        return Problem.UNKNOWN_ACCOUNT
    if account.status is AccountStatus.CLOSED and asked.status is not AccountStatus.CLOSED:
        return Finding(Reason.ACCOUNT_STATUS_FINAL, 0, account.id)
    if asked.status is AccountStatus.CLOSED and not _all_empty(account):
        return Finding(Reason.ACCOUNT_NOT_EMPTY, 0, account.id)
    if account.status is not asked.status:
        account.status = asked.status
        account.status_changed = True
    return Finding(Reason.NONE, 0, account.id)


def _all_empty(account: Account) -> bool:
    return account.empty and not (isinstance(account, HolderAccount) and any(not purse.empty for purse in account.purses))
