"""Whatever comes over the socket is answered, refused or hung up on; nothing else happens."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.issuance.domain.effects import Generation, Operation
from services.issuance.domain.product import KEY_BYTES
from services.issuance.vault.answering import Answering
from services.issuance.vault.leases import Leases
from services.issuance.vault.protocol import (
    Answer,
    Ask,
    CheckIdentifiers,
    Close,
    GarbageError,
    Hello,
    Message,
    Open,
    Purpose,
    frame,
    message_of,
)
from tests.support.tokens_of_chips import software_token
from tests.unit.issuance.vault.test_leases import CHALLENGE, HELD, LOAD, OPEN, PRODUCT, RELOAD, VERIFY, Table

EXAMPLES: Final = int(os.environ.get("ONECARD_HOSTILE_ANSWERS", "1100")) // 15
FOLDER: Final = tempfile.TemporaryDirectory()
ROOTS: Final = software_token(Path(FOLDER.name), (PRODUCT,), {})
SECRETS: Final = [key.secret for key in ROOTS._keys]
NUMBERS: Final = st.sampled_from([0, 1, 2, 4, 7, 10, 0x7F, 2**31, 2**63 - 1]) | st.integers(0, 255)
BYTES: Final = st.sampled_from([b"", CHALLENGE, bytes(8), LOAD["header"], RELOAD["header"], b"123456"]) | st.binary(max_size=40)


def good_messages() -> list[bytes]:
    asks = [{}, LOAD, RELOAD, VERIFY]
    default: dict[str, Any] = {
        "operation": Operation.EXTERNAL_AUTHENTICATE,
        "address": 4,
        "generation": Generation.FINAL,
        "challenge": CHALLENGE,
    }
    messages: list[Message] = [Hello(1), OPEN, Close(1, 1), CheckIdentifiers(1, "ssc3", ["00" * 16])]
    return [frame(message)[4:] for message in [*messages, *(Ask(id=1, lease=1, **{**default, **ask}) for ask in asks)]]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    body = bytearray(draw(st.sampled_from(good_messages())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


asks = st.builds(
    Ask,
    id=st.just(1),
    lease=st.just(0),
    operation=st.sampled_from(Operation),
    address=NUMBERS,
    generation=st.sampled_from(Generation),
    challenge=BYTES,
    loads=st.none() | NUMBERS,
    header=BYTES,
    data=BYTES,
)


def vault() -> tuple[Answering, Leases]:
    leases = Leases(Table({7: HELD}), [PRODUCT], ROOTS.current)
    return Answering(ROOTS, leases), leases


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=64) | mutated())
def test_a_message_is_read_or_it_is_garbage(body: bytes) -> None:
    try:
        message = message_of(body)
    except GarbageError:
        return
    answering, _ = vault()
    answer = asyncio.run(answering.answer(message, set()))
    assert answer.id == message.id
    assert not answer.data
    assert not any(answer.genuine)


@settings(max_examples=EXAMPLES)
@given(st.lists(asks, min_size=1, max_size=30), st.sampled_from(Purpose))
def test_no_question_on_an_open_lease_breaks_the_vault_or_hears_a_key(questions: list[Ask], purpose: Purpose) -> None:
    answering, _ = vault()
    mine: set[int] = set()

    async def ask_all() -> list[Answer]:
        opened = await answering.answer(msgspec.structs.replace(OPEN, purpose=purpose), mine)
        return [await answering.answer(msgspec.structs.replace(one, lease=opened.lease), mine) for one in questions]

    for answer in asyncio.run(ask_all()):
        assert bool(answer.refusal) is not bool(answer.data or answer.genuine)
        assert purpose is Purpose.PERSONALISE or answer.refusal
        assert not [secret for secret in SECRETS if secret in answer.data or answer.data[:KEY_BYTES] == secret]


@given(st.integers(2**63, 2**64 - 1) | st.integers(-(2**63), -1))
def test_a_number_that_no_record_has_is_garbage(number: int) -> None:
    body = msgspec.msgpack.decode(frame(OPEN)[4:])
    for name in ("record", "approval"):
        try:
            message = message_of(msgspec.msgpack.encode({**body, name: number}))
        except GarbageError:
            continue
        raise AssertionError(message)


def test_the_messages_of_these_tests_are_good() -> None:
    kinds = [type(message_of(body)) for body in good_messages()]
    assert kinds == [Hello, Open, Close, CheckIdentifiers, Ask, Ask, Ask, Ask]
