"""What people did to dead letters: rows of `payments.dead_letter_act`, which are added and never changed."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import milliseconds
from services.common.errors import Code, DomainError
from services.payments.domain.letter import Act, ActKind

_COLUMNS: Final = "a.id, a.kind, a.actor, a.at, a.letters, a.reason, a.asked"
_ADD: Final = text("""
insert into payments.dead_letter_act (kind, actor, letters, reason, asked, request_id)
values (:kind, :actor, :letters, :reason, :asked, :request_id) on conflict (actor, request_id) do nothing""")
_BY_REQUEST: Final = text(
    f"select {_COLUMNS} from payments.dead_letter_act a where actor = :actor and request_id = :request_id"  # noqa: S608
)
_BY_NUMBER: Final = text(f"select {_COLUMNS} from payments.dead_letter_act a where id = :number")  # noqa: S608
_ANSWER: Final = text(f"select {_COLUMNS} from payments.dead_letter_act a where asked = :number")  # noqa: S608
_OF_LETTER: Final = text(
    f"select {_COLUMNS} from payments.dead_letter_act a where letters @> array[cast(:letter as bigint)]"  # noqa: S608
    " order by id desc limit 50"
)
_LIST: Final = text(f"""
select {_COLUMNS} from payments.dead_letter_act a
where a.id < :before and (not :waiting or (
    a.kind = 2 and not exists (select from payments.dead_letter_act b where b.asked = a.id)))
order by a.id desc limit :limit""")  # noqa: S608  # constants
_END: Final = text("""
update payments.dead_letter set refusal = :approval, resolved_time = now()
where number = any(cast(:letters as bigint[])) and resolved_time is null returning number""")


async def add_act(
    connection: AsyncConnection,
    request_id: str,
    kind: ActKind,
    actor: str,
    letters: Sequence[int],
    reason: str,
    asked: int | None = None,
) -> Act:
    """Write down what is about to be done; a repeat of the request finds what was written, another one raises DomainError."""
    given = {"kind": kind.value, "actor": actor, "letters": list(letters), "reason": reason, "asked": asked}
    await connection.execute(_ADD, {**given, "request_id": request_id})
    act = _act((await connection.execute(_BY_REQUEST, {"actor": actor, "request_id": request_id})).one())
    if (act.kind, act.letters, act.reason, act.asked) != (kind, tuple(letters), reason, asked):
        raise DomainError(Code.ALREADY_EXISTS, "REQUEST_ID_TAKEN", "this request id was used for something else")
    return act


async def find_act(connection: AsyncConnection, number: int) -> Act | None:
    """By its number."""
    row = (await connection.execute(_BY_NUMBER, {"number": number})).one_or_none()
    return _act(row) if row else None


async def find_answer(connection: AsyncConnection, asked: int) -> Act | None:
    """What a second person has said to a request."""
    row = (await connection.execute(_ANSWER, {"number": asked})).one_or_none()
    return _act(row) if row else None


async def acts_of(connection: AsyncConnection, letter: int) -> list[Act]:
    """Those that name a letter, newest first."""
    return [_act(row) for row in await connection.execute(_OF_LETTER, {"letter": letter})]


async def list_acts(connection: AsyncConnection, before: int, limit: int, *, waiting: bool) -> list[Act]:
    """Newest first; perhaps only requests that nobody has answered."""
    rows = await connection.execute(_LIST, {"before": before, "limit": limit, "waiting": waiting})
    return [_act(row) for row in rows]


async def end_letters(connection: AsyncConnection, approval: Act) -> set[int]:
    """Refuse what lies open of an approval's letters; answers which."""
    rows = await connection.execute(_END, {"approval": approval.number, "letters": list(approval.letters)})
    return set(rows.scalars())


def _act(row: Any) -> Act:
    number, kind, actor, at, letters, reason, asked = row
    return Act(number, ActKind(kind), actor, milliseconds(at), tuple(letters), reason, asked)
