"""A terminal that lies while the PIN of an issued card is reloaded: its stream ends by name, and the card stays what it is."""

import os
import random
from itertools import count
from typing import Any, Final

import grpc

from onecard.issuance.v1 import issuance_pb2 as messages
from services.issuance.domain.effects import Generation, KeyUse
from tests.integration.issuance.test_streams import Desk, desk, new_pin, room
from tests.support.blanks import WINDOW
from tests.support.chip_crypto import card_key
from tests.support.edge import reason_of
from tests.support.hostile_terminal import answer_to, forms, with_bytes
from tests.support.issuance import Room
from tests.support.issuance_room import ChipTerminal

__all__ = ["desk", "room"]
LIES: Final = int(os.environ.get("ONECARD_HOSTILE_ANSWERS", "1100")) // 15


def lie(chance: random.Random, answer: messages.UpdateCardRequest, before: list[bytes]) -> bytes:
    """In place of an answer."""
    raw = answer.SerializeToString()
    match chance.randrange(4):
        case 0:
            edits = [(chance.randrange(300), chance.randrange(4), chance.randbytes(chance.randrange(4))) for _ in range(3)]
            return with_bytes(raw, edits)
        case 1:
            return chance.choice(before)
        case 2:
            made_up = [chance.randbytes(chance.randrange(40)) + b"\x90\x00" for _ in range(chance.randrange(8))]
            other = messages.UpdateCardRequest(at=answer.at, responses=messages.ChipResponses(responses=made_up))
            return other.SerializeToString()
        case _:
            other = messages.UpdateCardRequest(at=answer.at, responses=answer.responses)
            field = chance.choice(("record_id", "epoch", "step"))
            setattr(other.at, field, max(0, getattr(other.at, field) + chance.choice((-1, 1))))
            return other.SerializeToString()


async def stream(desk: Desk, begin: messages.UpdateCardRequest, chance: random.Random, heard: list[bytes]) -> str:
    """One, with a lie somewhere; how it ended."""
    metadata = (("x-onecard-subject", WINDOW), ("x-onecard-shift", desk.token))
    method = "/onecard.issuance.v1.IssuanceService/UpdateCard"
    read = messages.UpdateCardResponse.FromString
    call: Any = desk.channel.stream_stream(method, response_deserializer=read)(metadata=metadata, timeout=60)
    said = [begin.SerializeToString()]
    await call.write(said[0])
    terminal, lies_at = ChipTerminal(desk.room.cards[0]), chance.randrange(4)
    try:
        for number in count():
            message = await call.read()
            if message is grpc.aio.EOF:
                await call
            heard.append(message.SerializeToString())
            if message.WhichOneof("what") == "updated":
                return message.updated.refusal.reason or "done"
            asked = messages.PersonaliseResponse(at=message.at, commands=message.commands)
            truth = messages.UpdateCardRequest(at=message.at, responses=answer_to(terminal, asked).responses)
            said.append(lie(chance, truth, said) if number == lies_at else truth.SerializeToString())
            await call.write(said[-1])
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    raise AssertionError("a stream ends with a message, or a status")


async def test_a_terminal_that_lies_at_an_update_hears_no_key_and_spoils_no_card(desk: Desk, room: Room) -> None:
    await desk.issue(room.registry.apply())
    card, chance = room.cards[0], random.Random(6)
    heard: list[bytes] = []
    ends: set[str] = set()
    keys, records = dict(card.chip.keys), dict(card.chip.records)
    for number in range(LIES):
        begin = new_pin(desk, f"{chance.randrange(10**6):06}", f"u{number}")
        asked = (await desk.converse("UpdateCard", begin)).updated
        if asked.countersignature_id:
            await desk.sign(asked.countersignature_id)
        ends.add(await stream(desk, begin, chance, heard))
        assert (card.chip.keys, card.chip.records) == (keys, records)
        if min(card.chip.tries.values()) < 3:
            card.chip.tries = dict.fromkeys(card.chip.tries, 10)
    assert "INTERNAL" not in ends
    assert {"WRONG_POSITION", "done"} <= ends, ends
    for key in card.chip.product.keys:
        for use in (KeyUse(key.address, generation) for generation in Generation):
            secret = card_key(card.chip.product, card.chip.identifier, use)
            assert not [form for form in forms(secret) for one in heard if form in one]
