"""Applications and their timelines in PostgreSQL."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.notifications import NewNotification, note, note_many
from services.card.domain.actor import Actor
from services.card.domain.application import (
    ApplicationKind,
    ApplicationState,
    Mode,
    Route,
    Step,
)
from services.card.domain.notification import NotificationKind
from services.card.domain.occasion import of_step
from services.common.clock import instant, milliseconds

_OPEN: Final = "select holder, id from card.application where holder = any($1::bigint[]) and state between 1 and 6"
APPLICATION_COLUMNS: Final = """
    id, holder, kind, mode, route, state, outlet, batch, batch_row, card, cause, remark, fee_fen, due_time, version,
    create_time, not_carried"""
STEP_COLUMNS: Final = "step, state, at, actor, outlet, cause"
_SELECT: Final = f"select {APPLICATION_COLUMNS} from card.application"  # noqa: S608 - our own list of columns
_READ: Final = _SELECT + " where id = $1"
_LOCK: Final = _READ + " for no key update"
_LOCK_HOLDER: Final = """
select from card.holder where id = (select holder from card.application where id = $1) for no key update"""
_MOVE: Final = """
with moved as (
    update card.application set state = $2, cause = $3, remark = $4, card = coalesce($5, card), version = version + 1,
        update_time = $6
    where id = $1 returning id, version)
insert into card.step (application, number, step, state, at, actor, outlet, cause)
select id, version, $7, $2, $6, $8, $9, $3 from moved"""
_AGAIN: Final = """
update card.application set bank_product = greatest(bank_product, $2), not_carried = $3, due_time = $4 where id = $1"""
_STEPS: Final = f"select {STEP_COLUMNS} from card.step where application = $1 order by number"  # noqa: S608
_LIST: Final = (
    _SELECT
    + """
where outlet = $1 and state = any($2::smallint[]) and id > $3 and ($4::timestamptz is null or due_time < $4)
order by id limit $5"""
)
_NEW_IDS: Final = "select nextval('card.application_id') from generate_series(1, $1)"


class Application(NamedTuple):
    """An application as stored, without what is sealed."""

    id: int
    holder: int
    kind: ApplicationKind
    mode: Mode
    route: Route
    state: ApplicationState
    outlet: str
    batch: int | None
    batch_row: int | None
    card: int | None
    cause: int
    """The last refusal's, by services.card.domain.refusal; 0: none."""
    remark: str
    fee_fen: int
    due_time_ms: int
    version: int
    create_time_ms: int
    not_carried: int
    """Carriers that cannot carry the applicant's name, as bits by services.card.domain.names.Carrier."""


class NewApplication(NamedTuple):
    """One that is to be added."""

    id: int
    holder: int
    kind: ApplicationKind
    mode: Mode
    route: Route
    state: ApplicationState
    outlet: str
    batch: int | None
    batch_row: int | None
    papers: bytes | None
    fee_fen: int
    not_carried: int
    """Carriers that cannot carry the applicant's name, as bits."""
    due_time_ms: int


class TimelineStep(NamedTuple):
    """One step of a timeline."""

    step: Step
    state: ApplicationState
    time_ms: int
    actor: str
    outlet: str
    cause: int


async def read_open_applications(driver: "asyncpg.Connection[Any]", holders: Iterable[int]) -> dict[int, int]:
    """The open application of each holder who has one. Only a locked holder's stays so."""
    return dict(await driver.fetch(_OPEN, sorted(set(holders))))


async def new_application_ids(driver: "asyncpg.Connection[Any]", count: int) -> list[int]:
    """Numbers for new applications."""
    return [row[0] for row in await driver.fetch(_NEW_IDS, count)]


async def add_applications(driver: "asyncpg.Connection[Any]", new: Sequence[NewApplication], actor: Actor, now_ms: int) -> None:
    """Add applications, each with its first step. UniqueViolationError when a holder has an open one after all."""
    now = instant(now_ms)
    await driver.copy_records_to_table(
        "application",
        schema_name="card",
        columns=(*NewApplication._fields[:-1], "due_time", "create_time", "update_time"),
        records=[(*n[:-1], instant(n.due_time_ms), now, now) for n in new],
    )
    await driver.copy_records_to_table(
        "step",
        schema_name="card",
        columns=("application", "number", "step", "state", "at", "actor", "outlet"),
        records=[(n.id, 1, Step.SUBMIT, n.state, now, actor.name, actor.outlet) for n in new],
    )
    if accepted := [n for n in new if n.state is ApplicationState.APPLIED]:
        told = [NewNotification(n.holder, NotificationKind.ACCEPTED, n.id, 1) for n in accepted]
        await note_many(driver, told, now_ms)


async def read_application(driver: "asyncpg.Connection[Any]", number: int) -> Application | None:
    """One application as it is now."""
    row = await driver.fetchrow(_READ, number)
    return application_of_row(row) if row else None


async def lock_application(driver: "asyncpg.Connection[Any]", number: int) -> Application | None:
    """An application, with its holder locked before it: whatever concerns one person is done one after the other."""
    await driver.execute(_LOCK_HOLDER, number)
    row = await driver.fetchrow(_LOCK, number)
    return application_of_row(row) if row else None


async def move_application(
    driver: "asyncpg.Connection[Any]",
    application: Application,
    step: Step,
    to: ApplicationState,
    actor: Actor,
    now_ms: int,
    *,
    cause: int = 0,
    remark: str = "",
    card: int | None = None,
) -> None:
    """Take a step with a locked application, write it on the timeline, and note what the applicant is told of it."""
    await driver.execute(
        _MOVE, application.id, to, cause, remark, card, instant(now_ms), step, actor.name, actor.outlet
    )  # fmt: skip
    if kind := of_step(step, application.mode, cause):
        await note(driver, NewNotification(application.holder, kind, application.id, application.version + 1), now_ms)


async def begin_again(driver: "asyncpg.Connection[Any]", number: int, product: int, not_carried: int, due_ms: int) -> None:
    """A locked application is handed in again: with the name and for the account of now, and its time begins anew."""
    await driver.execute(_AGAIN, number, product, not_carried, instant(due_ms))


async def read_timeline(driver: "asyncpg.Connection[Any]", number: int) -> list[TimelineStep]:
    """What happened to an application, oldest first."""
    return list(map(step_of, await driver.fetch(_STEPS, number)))


async def list_applications(
    driver: "asyncpg.Connection[Any]",
    outlet: str,
    states: Iterable[ApplicationState],
    *,
    after: int = 0,
    limit: int,
    due_before_ms: int | None = None,
) -> list[Application]:
    """Applications of an outlet, oldest first, behind a number."""
    before = None if due_before_ms is None else instant(due_before_ms)
    return [application_of_row(row) for row in await driver.fetch(_LIST, outlet, sorted(states), after, before, limit)]


def step_of(row: Any) -> TimelineStep:
    """A row of STEP_COLUMNS."""
    step, state, at, actor, outlet, cause = row
    return TimelineStep(Step(step), ApplicationState(state), milliseconds(at), actor, outlet, cause)


def application_of_row(row: Any) -> Application:
    """A row of APPLICATION_COLUMNS."""
    (
        id_,
        holder,
        kind,
        mode,
        route,
        state,
        outlet,
        batch,
        batch_row,
        card,
        cause,
        remark,
        fee_fen,
        due,
        version,
        created,
        beyond,
    ) = row
    return Application(
        id_,
        holder,
        ApplicationKind(kind),
        Mode(mode),
        Route(route),
        ApplicationState(state),
        outlet,
        batch,
        batch_row,
        card,
        cause,
        remark,
        fee_fen,
        milliseconds(due),
        version,
        milliseconds(created),
        beyond,
    )
