"""Faults in the database, made with its owner's rights: rows changed behind the ledger's back, rights taken away, a lock."""

from cli.city.city import City
from cli.city.faults.fault import Act, Fault

_OF_MERCHANT = (
    "update payments.account a set {column} = {column} + ({fen}) from payments.merchant m"
    " where m.payable_account = a.id and m.merchant_id = '{merchant}'"
)
_WAITS_FOR_ALL = "begin; lock table payments.account in access exclusive mode; select pg_sleep(3600)"
_END_OF_LOCK = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'fault'"


def _sql(statements: str) -> Act:
    def run(city: City) -> None:
        city.servers.postgres.scalar(statements)

    return run


def _merchant(merchant: str, fen: int, column: str = "credits_posted_fen") -> str:
    return _OF_MERCHANT.format(column=column, fen=fen, merchant=merchant)


def _without(right: str, table: str, role: str) -> tuple[Act, Act]:
    """A right is taken away, and given back."""
    return _sql(f"revoke {right} on {table} from {role}"), _sql(f"grant {right} on {table} to {role}")


def _lock(city: City) -> None:
    city.processes.start(city.servers.postgres.session("fault", city.folder, _WAITS_FOR_ALL))


def _end_lock(city: City) -> None:
    """As the runbook says: whoever holds all up is ended in the database."""
    _sql(_END_OF_LOCK)(city)
    city.processes.forget("fault")


IMBALANCE = Fault(
    "imbalance",
    "one fen is added to what a bus company is owed, in its row alone",
    _sql(_merchant("BUS-HARBOUR", 1)),
    _sql(_merchant("BUS-HARBOUR", -1)),
    also=frozenset({"LedgerAccountsDiffer"}),
    seconds=25,
)
PENDING_IMBALANCE = Fault(
    "pending-imbalance",
    "one fen is added to what holds promise a campus, in its row alone",
    _sql(_merchant("CAMPUS-LAKE", 1, "credits_pending_fen")),
    _sql(_merchant("CAMPUS-LAKE", -1, "credits_pending_fen")),
    also=frozenset({"LedgerAccountsDiffer"}),
    seconds=15,
)
ALTERED_ACCOUNT = Fault(
    "altered-account",
    "one yuan of what a bus company is owed is given to another one: the books balance, two accounts are not what they were",
    _sql(f"begin; {_merchant('BUS-HARBOUR', 100)}; {_merchant('BUS-HILLS', -100)}; commit"),
    _sql(f"begin; {_merchant('BUS-HARBOUR', -100)}; {_merchant('BUS-HILLS', 100)}; commit"),
    seconds=30,
)
SEAL_BROKEN = Fault(
    "seal-broken",
    "payments may not write seals any more: what is posted stays unsealed",
    *_without("insert", "payments.seal", "onecard_payments"),
    seconds=30,
)
AUDIT_UNSEALED = Fault(
    "audit-unsealed",
    "the card service may not seal its audit any more: what staff does stays unsealed",
    *_without("insert", "card.audit_seal", "onecard_card"),
    seconds=55,
)
AUDITOR_STUCK = Fault(
    "auditor-stuck",
    "payments may not keep the auditor's sums any more: no account is compared with its transfers",
    *_without("update", "payments.audited", "onecard_payments"),
    also=frozenset({"LedgerAccountsDiffer"}),
    seconds=220,
)
HOTLIST_STUCK = Fault(
    "hotlist-stuck",
    "the card service may not note what it has published: it stays with the same cards for ever",
    *_without("update (sent_time)", "card.event_outbox", "onecard_card"),
    seconds=60,
)
DATABASE_SLOW = Fault(
    "database-slow",
    "a session that somebody has left open holds all accounts locked",
    _lock,
    _end_lock,
    also=frozenset({"CardProjectionOld", "LedgerCheckAbsent", "ErrorBudgetFastBurn", "BatchUnsealed", "LowBlankStock"}),
    alone=True,
    seconds=65,
)
