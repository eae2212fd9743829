"""Change what may be changed on a card that was issued: its PIN, its validity. No wrong answer spoils such a card."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final, TypeAlias

from services.issuance.domain import apdu
from services.issuance.domain.card_data import CardData, Content, identifier_bytes, pick, records_of
from services.issuance.domain.conversation import Conversation, ConversationEnded, Part, identify, reading
from services.issuance.domain.effects import (
    Answer,
    AskVault,
    Change,
    ChangeKind,
    Effect,
    Generation,
    KeyUse,
    Operation,
    Outcome,
    Past,
    Refused,
)
from services.issuance.domain.product import Key, PinRules, Product, Source
from services.issuance.domain.refusal import Refusal

PIN: Final = "PIN"
VALIDITY: Final = "VALIDITY"
"""What a second person signs: the one or the other."""
MOST_REFUSED_RELOADS: Final = 3
"""In a row: a card may count MACs that fail, and none of them says so. An answer that was lost is none: our MAC was right."""


@dataclass(frozen=True, slots=True)
class Updated:
    """The card has it."""


Update: TypeAlias = Generator[Effect, Answer, Updated | Refused]


def reload_pin(product: Product, card_identifier: str, pin: str, past: Past) -> Update:
    """`pin`: what the holder keyed in. `past`: the journal of this card since it was issued."""
    rules = product.pin
    if rules is None:
        return Refused(Refusal.NO_PIN_ON_CARD)
    if not rules.takes(pin):
        return Refused(Refusal.PIN_MALFORMED)
    if _refused_reloads(past) >= MOST_REFUSED_RELOADS:
        return Refused(Refusal.KEY_TRIES_USED)
    talk = Conversation(product, past)
    try:
        yield from identify(talk, identifier_bytes(card_identifier))
        return (yield from _reload_pin(talk, rules, pin))
    except ConversationEnded as ended:
        return ended.refused


def renew_validity(product: Product, data: CardData, past: Past) -> Update:
    """Write the days from and until which the card is good, as the registry has them now."""
    contents = records_of(product, data)
    if isinstance(contents, Refused):
        return contents
    talk = Conversation(product, past)
    try:
        yield from identify(talk, identifier_bytes(data.card_identifier))
        return (yield from _rewrite(talk, pick(contents, Source.ISSUE_DATE, Source.EXPIRY_DATE)))
    except ConversationEnded as ended:
        return ended.refused


def _reload_pin(talk: Conversation, rules: PinRules, pin: str) -> Part[Updated]:
    key = talk.product.key(rules.key)
    header = talk.product.pin_header(rules)
    challenge = yield from talk.challenge()
    use = KeyUse(key.address, Generation.FINAL)
    question = AskVault(Operation.RELOAD_PIN, use, challenge, header=header, data=pin.encode())
    data = yield from talk.ask(question, header[-1])
    responses = yield from talk.send([apdu.protected(header, data)], Change(ChangeKind.PIN_RELOAD, key.address))
    talk.refuse_unless(responses[0].ok, responses[0], Refusal.PIN_NOT_CHANGED)
    return Updated()


def _rewrite(talk: Conversation, contents: Sequence[Content]) -> Part[Updated]:
    """Write what differs, and read it back."""
    read = reading(contents)
    *keys, last = _keys_of(talk.product, contents)
    for key in keys:
        yield from talk.authenticate(key, only=Generation.FINAL, journalled=True)
    responses = yield from talk.authenticate(last, only=Generation.FINAL, journalled=True, then=read.commands)
    found = talk.found(read, responses)
    differing = [one for one in contents if found[one.place] != one.content]
    for _, of_file in groupby(differing, key=lambda content: content.file):
        yield from talk.write(list(of_file))
    if differing:
        found = talk.found(read, (yield from talk.send(read.commands)))
    for one in contents:
        if found[one.place] != one.content:
            raise talk.end(Refusal.READ_BACK_DIFFERS, one.place)
    return Updated()


def _keys_of(product: Product, contents: Sequence[Content]) -> tuple[Key, ...]:
    """Those that reading and writing these records needs."""
    files = [file for file in product.files if any(one.file == file.identifier for one in contents)]
    wanted = {name for file in files for name in (file.read_with, file.write_with)}
    return tuple(key for key in product.keys if key.name in wanted)


def _refused_reloads(past: Past) -> int:
    reloads = [outcome for change, outcome in past.rows if change.kind is ChangeKind.PIN_RELOAD]
    since = takewhile(lambda outcome: outcome is not Outcome.DONE, reversed(reloads))
    return sum(outcome is Outcome.REFUSED for outcome in since)
