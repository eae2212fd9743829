"""The words of the application: every id that is used is there, in three languages, and no word of ours stands elsewhere."""

import ast
import re
from pathlib import Path

import pytest

from cli.terminal import words
from cli.terminal.acts import ACTS, APPLYING
from cli.terminal.advice import advice_on
from cli.terminal.screens.home import TASKS
from cli.terminal.session import Once
from cli.terminal.texts import LANGUAGES, Texts, table
from cli.terminal.words import DOCUMENTS, RELATIONS, fen_of, yuan
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.issuance.v1 import issuance_pb2 as issuance
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.devices.reader import CardGoneError

TERMINAL = Path(__file__).parents[3] / "cli" / "terminal"
SOURCES = sorted(TERMINAL.rglob("*.py"))
KEY = re.compile(r"[a-z_]+\.[A-Za-z_]+")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"\{[a-z_]+\}")


def strings(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    told = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told | bare
    ]


def test_every_text_is_there_in_three_languages_with_the_same_values() -> None:
    for key, told in table().items():
        assert len(told) == len(LANGUAGES), key
        assert all(told), key
        assert len({frozenset(LATIN.findall(text)) for text in told}) == 1, key


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_every_id_that_is_used_is_there(file: Path) -> None:
    prefixes = {key.split(".")[0] for key in table()}
    for text in strings(file):
        if (
            KEY.fullmatch(text)
            and text.split(".")[0] in prefixes
            and not text.startswith("app.focus")
            and not text.endswith((".tcss", ".toml"))
        ):
            assert text in table(), (file.name, text)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_no_chinese_stands_elsewhere(file: Path) -> None:
    allowed = {"\u4e00", "\u9fff", "简体中文", "繁體中文", "English", "欢迎使用", "歡迎使用", "Welcome"}
    assert [text for text in strings(file) if CHINESE.search(text) and text not in allowed] == []


def test_every_value_that_is_shown_has_a_word() -> None:
    wanted = [f"verb.{verb}" for verb in (*ACTS, "REISSUE", "REPLACE")] + [f"told.{verb}" for verb in ACTS]
    wanted += [f"task.{task}" for task in TASKS] + [f"key.{task}" for task in TASKS]
    wanted += [f"document.{name.removeprefix('DOCUMENT_KIND_')}" for name in DOCUMENTS]
    wanted += [f"relation.{name.removeprefix('RELATION_')}" for name in RELATIONS]
    for enum, prefix, key in (
        (issuance.Stage, "STAGE_", "stage"),
        (issuance.IssueOutcome, "ISSUE_OUTCOME_", "outcome"),
        (issuance.IssueOutcome, "ISSUE_OUTCOME_", "next"),
        (issuance.RecordState, "RECORD_STATE_", "record"),
        (issuance.Proof, "PROOF_", "proof"),
    ):
        wanted += [f"{key}.{enum.Name(number).removeprefix(prefix)}" for number in enum.values() if number]
    assert [key for key in wanted if key not in table()] == []
    assert set(APPLYING) == {"FIRST", "REISSUE", "REPLACE"}


def test_a_card_that_nobody_ever_had_and_the_application_behind_it_say_so() -> None:
    texts = Texts("en")
    spoiled = cards.CardSummary(social=cards.SOCIAL_STATUS_CANCELLED, production=60)
    had = cards.CardSummary(social=cards.SOCIAL_STATUS_CANCELLED, production=70)
    lies = cards.CardSummary(social=cards.SOCIAL_STATUS_SEALED, production=60)
    assert [words.note(card, texts) for card in (spoiled, had, lies)] == ["never handed over", "", ""]
    waits = applications.ApplicationSummary(state=applications.APPLICATION_STATE_APPLIED, overdue=True)
    assert [words.state(waits, texts, step) for step in ("FAIL", "SUBMIT")] == ["to be made again overdue", "applied overdue"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_goes_wrong_says_what_to_do_next(language: str) -> None:
    texts = Texts(language)
    for error in (
        NotAcceptedError("SHIFT_ENDED", "登录已失效，请重新登录"),
        NotAcceptedError("ANYTHING", "socket closed"),
        OutcomeUnknownError("r", "UNAVAILABLE"),
        CardGoneError(),
        FileNotFoundError("/somewhere"),
        ZeroDivisionError(),
    ):
        told = advice_on(error, texts)
        assert told
        assert "socket" not in told
        assert "/somewhere" not in told


def test_a_request_keeps_its_id_until_its_end_is_known_or_it_is_another_one() -> None:
    once = Once()
    first = once.id_for("card", 100)
    assert once.id_for("card", 100) == first
    other = once.id_for("card", 200)
    assert other != first
    once.settled()
    assert once.id_for("card", 200) != other


@pytest.mark.parametrize(
    ("keyed", "fen"),
    [("7", 700), ("7.5", 750), ("7.05", 705), (" 50.00 ", 5000), ("", None), ("-1", None), ("1.005", None), ("1e3", None), ("七", None), ("7.x", None)],
)  # fmt: skip
def test_amounts_are_read_exactly(keyed: str, fen: int | None) -> None:
    assert fen_of(keyed) == fen
    if fen is not None:
        assert fen_of(yuan(fen)) == fen
