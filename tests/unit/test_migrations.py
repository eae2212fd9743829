"""Every migration since the first release is one that a living city can take; and what the rules refuse."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from services.card.migrations import SCHEMA as CARD
from services.common.migrations import step_of
from services.common.schema import Schema
from services.issuance.migrations import SCHEMA as ISSUANCE
from services.payments.migrations import SCHEMA as PAYMENTS
from tests.support.migration_rules import BASELINE, problems

SCHEMAS: Final = (PAYMENTS, CARD, ISSUANCE)


def module_of(file: Path) -> ModuleType:
    spec = spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules(schema: Schema) -> list[ModuleType]:
    return [module_of(file) for file in sorted(schema.folder.glob("versions/0*.py"))]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_migrations_are_numbered_without_a_gap_as_their_files_are(schema: Schema) -> None:
    files = sorted(file.name[:4] for file in schema.folder.glob("versions/0*.py"))
    assert files == [f"{number:04}" for number in range(1, len(files) + 1)]
    revisions = [(module.down_revision, module.revision) for module in modules(schema)]
    assert revisions == list(zip([None, *files], files, strict=False))
    assert schema.head == files[-1]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_what_a_release_does_not_wait_for_may_come_while_it_runs(schema: Schema) -> None:
    behind = {module.revision: step_of(module) for module in modules(schema) if module.revision > schema.needs}
    assert "expand" not in behind.values(), "it needs every expand: `migrate` makes them before it starts"
    needed = next(module for module in modules(schema) if module.revision == schema.needs)
    assert step_of(needed) != "contract", "a contract comes after the last process of an older release has ended"


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_every_migration_since_the_first_release_is_one_that_a_living_city_can_take(schema: Schema) -> None:
    since = [module for module in modules(schema) if module.revision > BASELINE[schema.name]]
    assert {module.revision: found for module in since if (found := problems(module))} == {}


def made(text: str) -> ModuleType:
    module = ModuleType("made")
    before = "from alembic import op\nfrom services.common.migrations import run_script\n"
    exec(before + text, module.__dict__)
    return module


def script(step: str, sql: str, more: str = "") -> ModuleType:
    return made(f"step = {step!r}\n{more}\ndef upgrade():\n    run_script(op.get_bind(), {sql!r})")


T: Final = "alter table payments.verdict"
ALIKE: Final = [
    "create table payments.x (id bigint primary key, n text not null); create index x_n on payments.x (n);",
    f"{T} add column decide_time timestamptz;",
    f"{T} add column times int not null default 0;",
    f"{T} add constraint c check (fare_fen < 100) not valid;",
    "grant select on payments.verdict to onecard_payments;",
    "insert into payments.account (id, kind, name, guarded) values (9, 3, 'a fund', false);",
    "create or replace function payments.f() returns int language sql as $$ delete from payments.x; select 1 $$;",
    f"-- squawk-ignore ban-drop-constraint\n{T} drop constraint c;",
]
REFUSED_OF_AN_EXPAND: Final = {
    f"{T} drop column fare_fen;": "ban-drop-column",
    f"{T} rename column fare_fen to fare;": "renaming-column",
    f"{T} rename to verdicts;": "renaming-table",
    f"{T} drop constraint c;": "ban-drop-constraint",
    "drop table payments.verdict;": "drop",
    "drop function payments.f();": "drop",
    "drop view payments.v;": "drop",
    "revoke select on payments.verdict from onecard_payments;": "revoke",
}
REFUSED_OF_ALL: Final = {
    f"{T} alter column reason type int;": "changing-column-type",
    f"{T} add column decide_time timestamptz not null;": "adding-required-field",
    f"{T} alter column decide_time set not null;": "adding-not-nullable-field",
    f"{T} add column at timestamptz default clock_timestamp();": "adding-field-with-default",
    f"{T} add column n bigint generated always as identity;": "adding-field-with-default",
    f"{T} add constraint c check (fare_fen < 100);": "constraint-missing-not-valid",
    f"{T} add constraint c check (a > 1) not valid; {T} validate constraint c;": "constraint-missing-not-valid",
    f"{T} add constraint f foreign key (terminal) references payments.terminal;": "adding-foreign-key-constraint",
    f"{T} add constraint u unique (batch);": "disallowed-unique-constraint",
    "create index verdict_reason on payments.verdict (reason);": "require-concurrent-index-creation",
    "/* quick */ update payments.verdict set reason = 1;": "update",
    "-- as nobody needs it\ndelete from payments.verdict where reason = 1;": "delete",
    "truncate payments.verdict;": "truncate",
    "lock table payments.verdict;": "lock",
    "vacuum full payments.verdict;": "vacuum",
}


@pytest.mark.parametrize("sql", ALIKE)
def test_what_old_code_and_busy_tables_live_with_is_let_through(sql: str) -> None:
    assert problems(script("expand", sql)) == []
    assert problems(script("contract", sql)) == []


@pytest.mark.parametrize(("sql", "why"), REFUSED_OF_AN_EXPAND.items())
def test_an_expand_takes_nothing_away(sql: str, why: str) -> None:
    assert any(found.startswith(why) for found in problems(script("expand", sql)))
    assert problems(script("contract", sql)) == []


@pytest.mark.parametrize(("sql", "why"), REFUSED_OF_ALL.items())
def test_no_step_keeps_a_busy_table_locked_or_changes_all_its_rows_at_once(sql: str, why: str) -> None:
    for step in ("expand", "contract"):
        assert any(found.startswith(why) for found in problems(script(step, sql))), step


def test_a_column_becomes_obligatory_by_a_constraint_that_was_proved_before() -> None:
    sql = f"{T} validate constraint c; {T} alter column decide_time set not null; {T} drop constraint c;"
    assert problems(script("contract", sql)) == []


def test_an_index_of_a_busy_table_is_built_beside_its_writers() -> None:
    beside = "concurrently = ('create index concurrently if not exists v on payments.verdict (reason)',)"
    assert problems(script("expand", "select", beside)) == []
    alone = "concurrently = ('create index v on payments.verdict (reason)',)"
    assert problems(script("expand", "select", alone))


def test_a_backfill_has_batches_and_nothing_else_has() -> None:
    batches = "batches = 'update payments.verdict set a = 1 where a is null'"
    assert problems(script("backfill", "select", batches)) == []
    assert problems(script("backfill", "select")) == ["a backfill has batches"]
    assert problems(script("expand", "select", batches)) == ["it holds batches and is of step expand"]


def test_a_migration_says_which_step_it_is_and_is_sql_alone() -> None:
    (problem,) = problems(made("def upgrade():\n    run_script(op.get_bind(), 'select')"))
    assert problem.startswith("it does not say which step it is")
    with pytest.raises(AttributeError, match="add_column"):
        problems(made("step = 'expand'\ndef upgrade():\n    op.add_column('verdict', None)"))


def test_the_next_release_of_the_upgrade_test_keeps_the_rules() -> None:
    made_of_it = [module_of(file) for file in sorted((Path(__file__).parents[1] / "upgrade/next_migrations").glob("*.py"))]
    assert [step_of(module) for module in made_of_it] == ["expand", "backfill", "contract", "contract"]
    assert {module.revision: found for module in made_of_it if (found := problems(module))} == {}
