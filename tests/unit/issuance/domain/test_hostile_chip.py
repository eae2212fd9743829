"""Whatever a chip or a terminal answers: a named end after a bounded number of effects, no key, and no card that only seems right."""

import os
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.issuance.domain.apdu import Response
from services.issuance.domain.check_card import Checked, check_card
from services.issuance.domain.effects import (
    Answer,
    Answers,
    AskVault,
    Effect,
    Generation,
    KeyUse,
    Proof,
    Reached,
    Refused,
    Send,
    Spoil,
    Trouble,
    VaultRefused,
    Verified,
    answers_of,
)
from services.issuance.domain.personalise import personalise
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.update_card import Updated, reload_pin, renew_validity
from tests.support.chip_crypto import card_key
from tests.support.chip_driver import MOST_EFFECTS, PRODUCTS, Bench, bench
from tests.unit.issuance.domain.test_personalise import is_right, is_whole

EXAMPLES: Final = int(os.environ.get("ONECARD_HOSTILE_ANSWERS", "1100"))
"""For each of the tests that mutate answers."""
STATUS_WORDS: Final = (
    0x9000,
    0x6100,
    0x6110,
    0x6282,
    0x63C0,
    0x63C1,
    0x63C3,
    0x6581,
    0x6700,
    0x6982,
    0x6983,
    0x6988,
    0x6A82,
    0x6A83,
)
codes = st.sampled_from(sorted(PRODUCTS))
status_words = st.sampled_from(STATUS_WORDS) | st.integers(0, 0xFFFF)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, Callable[[bytes], bytes]]:
    """One answer, changed."""
    kind = draw(st.sampled_from(("flip", "cut", "extend", "status", "other", "empty")))
    match kind:
        case "flip":
            at, bit = draw(st.integers(0, 40)), draw(st.integers(0, 7))
            return kind, lambda raw: _flipped(raw, at % len(raw), bit)
        case "cut":
            length = draw(st.integers(0, 20))
            return kind, lambda raw: raw[:length] + raw[-2:] if length < len(raw) - 2 else raw[1:]
        case "extend":
            more = draw(st.binary(min_size=1, max_size=40))
            return kind, lambda raw: raw[:-2] + more + raw[-2:]
        case "status":
            status = draw(status_words)
            return kind, lambda raw: raw[:-2] + status.to_bytes(2)
        case "other":
            instead = draw(st.binary(min_size=0, max_size=40))
            return kind, lambda _: instead
        case _:
            return kind, lambda _: b""


def _flipped(raw: bytes, at: int, bit: int) -> bytes:
    return raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :]


class Terminal:
    """Between the chip and us; it answers what it likes."""

    def __init__(self, desk: Bench, change: Callable[[int, bytes], bytes]) -> None:
        self.desk = desk
        self.answered = 0
        self._change = change
        self._true = desk.chip.transmit
        desk.chip.transmit = self.transmit  # type: ignore[method-assign] # between the two

    def transmit(self, apdu: bytes) -> bytes:
        self.answered += 1
        return self._change(self.answered, self._true(apdu))


def holds(desk: Bench, result: object) -> None:
    """Whatever happened."""
    assert isinstance(result, Verified | Refused | Spoil)
    if result == Verified():
        assert is_whole(desk)
    assert min(desk.chip.least_tries.values()) >= desk.product.tries_kept
    gives_no_key(desk, result)


def gives_no_key(desk: Bench, result: object) -> None:
    """Neither in a command nor in what is shown."""
    identifier = bytes.fromhex(desk.data.card_identifier)
    given = b"".join(command.apdu for run in desk.sent for command in run.commands) + repr(result).encode()
    for key in desk.product.keys:
        for generation in Generation:
            secret = card_key(desk.product, identifier, KeyUse(key.address, generation))
            assert secret not in given
            assert secret.hex().encode() not in given.lower()


@settings(max_examples=EXAMPLES)
@given(code=codes, at=st.integers(1, 80), mutation=mutations())
def test_one_wrong_answer(code: str, at: int, mutation: tuple[str, Callable[[bytes], bytes]]) -> None:
    desk = bench(code)
    Terminal(desk, lambda number, raw: mutation[1](raw) if number == at else raw)
    holds(desk, desk.personalise())


@settings(max_examples=EXAMPLES)
@given(code=codes, wrong=st.dictionaries(st.integers(1, 80), mutations(), min_size=2, max_size=6))
def test_several_wrong_answers(code: str, wrong: dict[int, tuple[str, Callable[[bytes], bytes]]]) -> None:
    desk = bench(code)
    Terminal(desk, lambda number, raw: wrong[number][1](raw) if number in wrong else raw)
    result = desk.personalise()
    assert isinstance(result, Verified | Refused | Spoil)
    gives_no_key(desk, result)


@settings(max_examples=EXAMPLES // 3)
@given(code=codes, at=st.integers(1, 80), mutation=mutations())
def test_a_card_that_may_be_tried_again_comes_out_whole(
    code: str, at: int, mutation: tuple[str, Callable[[bytes], bytes]]
) -> None:
    desk = bench(code)
    terminal = Terminal(desk, lambda number, raw: mutation[1](raw) if number == at else raw)
    result = desk.personalise()
    terminal.answered = 1000
    if isinstance(result, Refused):
        assert desk.personalise() == Verified()
        assert is_whole(desk)


answers = st.builds(
    answers_of,
    st.lists(st.binary(max_size=40) | st.builds(lambda data: data + b"\x90\x00", st.binary(max_size=20)), max_size=20),
    st.none() | st.sampled_from(Trouble),
)


@settings(max_examples=EXAMPLES)
@given(code=codes, made_up=st.lists(answers, max_size=12))
@example(code="ssc3", made_up=[])
def test_answers_that_no_chip_ever_gave(code: str, made_up: list[Answers]) -> None:
    desk = bench(code)
    conversation = personalise(desk.product, desk.data, desk.journal.past, desk.own_challenge())
    result = _drive(desk, conversation, made_up)
    assert isinstance(result, Refused)
    gives_no_key(desk, result)


@settings(max_examples=EXAMPLES // 3)
@given(code=codes, at=st.integers(1, 40), mutation=mutations(), which=st.sampled_from(("pin", "validity", "check")))
def test_an_issued_card_is_never_spoiled(
    code: str, at: int, mutation: tuple[str, Callable[[bytes], bytes]], which: str
) -> None:
    desk = bench(code)
    desk.personalise()
    desk.sent.clear()
    Terminal(desk, lambda number, raw: mutation[1](raw) if number == at else raw)
    past, own = desk.journal.past, desk.own_challenge()
    result: object
    match which:
        case "pin":
            result = desk.drive(reload_pin(desk.product, desk.data.card_identifier, "730158", past))
        case "validity":
            result = desk.drive(renew_validity(desk.product, desk.data, past))
        case _:
            result = desk.drive(check_card(desk.product, desk.data, past, own, with_keys=True))
    assert isinstance(result, Updated | Checked | Refused)
    assert is_right(desk)
    gives_no_key(desk, result)


def _drive(desk: Bench, conversation: object, made_up: list[Answers]) -> object:
    """A conversation with nobody: the answers are taken from the list, then nothing comes any more."""
    given_answers = iter(made_up)
    answer: Answer = None
    for _ in range(MOST_EFFECTS):
        try:
            effect: Effect = conversation.send(answer)  # type: ignore[attr-defined] # any of them
        except StopIteration as ended:
            return ended.value
        match effect:
            case Send():
                desk.sent.append(effect)
                answer = next(given_answers, Answers((), Trouble.SILENT))
            case AskVault():
                answer = desk.vault.answer(effect)
            case Reached():
                answer = None
    raise AssertionError("the conversation does not end")


def test_a_challenge_that_comes_again_ends_it() -> None:
    desk = bench()
    challenges: list[bytes] = []
    true = desk.chip.transmit

    def stale(apdu: bytes) -> bytes:
        raw = true(apdu)
        if apdu[1] == 0x84:
            challenges.append(raw)
            return challenges[0]
        return raw

    desk.chip.transmit = stale  # type: ignore[method-assign] # a recording
    assert desk.personalise() == Spoil(Refusal.CHALLENGE_REPEATED)
    assert len({question.challenge for question in desk.vault.asked}) == len(desk.vault.asked)


@pytest.mark.parametrize("length", [0, 8, 15, 17])
def test_a_challenge_has_its_length(length: int) -> None:
    desk = bench()
    Terminal(desk, lambda number, raw: bytes(length) + b"\x90\x00" if number == 4 else raw)
    expected = Spoil(Refusal.CHALLENGE_MALFORMED) if length < 16 else Refused(Refusal.ANSWER_TOO_LONG)
    assert desk.personalise() == expected
    assert desk.vault.asked == []


@pytest.mark.parametrize(
    ("trouble", "refusal"),
    [
        (Trouble.CARD_GONE, Refusal.CARD_GONE),
        (Trouble.SILENT, Refusal.CARD_SILENT),
        (Trouble.READER, Refusal.READER_TROUBLE),
    ],
)
def test_silence_is_named_and_spoils_nothing(trouble: Trouble, refusal: Refusal) -> None:
    desk = bench()
    conversation = personalise(desk.product, desk.data, desk.journal.past, desk.own_challenge())
    assert _drive(desk, conversation, [Answers((), trouble)]) == Refused(refusal)


def test_a_terminal_that_went_on_against_its_orders_is_refused() -> None:
    desk = bench()
    conversation = personalise(desk.product, desk.data, desk.journal.past, desk.own_challenge())
    refused = Answers((Response(b"", 0x6A82), Response(b"", 0x9000)))
    assert _drive(desk, conversation, [refused]) == Refused(Refusal.ANSWERS_MISSING)


def test_a_terminal_that_answers_what_nobody_asked_is_refused() -> None:
    desk = bench()
    conversation = personalise(desk.product, desk.data, desk.journal.past, desk.own_challenge())
    assert _drive(desk, conversation, [Answers((Response(b"", 0x9000),) * 9)]) == Refused(Refusal.ANSWERS_MISSING)


@pytest.mark.parametrize("answer", [VaultRefused(), Proof(genuine=True)])
def test_without_the_vault_nothing_goes_on(answer: VaultRefused | Proof) -> None:
    desk = bench()
    desk.vault.answer = lambda question: answer  # type: ignore[method-assign] # it has closed the lease
    assert desk.personalise() == Refused(Refusal.KEYS_NOT_GIVEN)
    assert desk.journal.rows == []
