"""From a blank to a chip with its holder's data and the city's keys, in an order in which a cut at any byte does no harm.

The holder's records, then the issuer's with the card number last, then the keys, each under the key that protects it; then the
card is selected anew, proves the final keys, and everything is read back. A card that was cut is begun again: what is equal is
skipped, and the card tells which keys it has.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from services.issuance.domain import apdu
from services.issuance.domain.apdu import Command, Response
from services.issuance.domain.card_data import CardData, Content, identifier_bytes, records_of
from services.issuance.domain.conversation import Conversation, ConversationEnded, Part, identify, reading
from services.issuance.domain.effects import (
    AskVault,
    Change,
    ChangeKind,
    Generation,
    KeyUse,
    Operation,
    Outcome,
    Past,
    Personalisation,
    Reached,
    Refused,
    Result,
    Verified,
)
from services.issuance.domain.key_state import key_state
from services.issuance.domain.product import Key, Product
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage


def personalise(product: Product, data: CardData, past: Past, own_challenge: bytes) -> Personalisation:
    """`past`: the whole journal of this card. `own_challenge`: fresh, as long as the card's."""
    contents = records_of(product, data)
    if isinstance(contents, Refused):
        return contents
    assert len(own_challenge) == product.challenge_bytes
    talk = Conversation(product, past, making=True)
    try:
        return (yield from _personalise(talk, contents, identifier_bytes(data.card_identifier), own_challenge))
    except ConversationEnded as ended:
        return ended.result


def _personalise(talk: Conversation, contents: Sequence[Content], identifier: bytes, own_challenge: bytes) -> Part[Result]:
    yield from identify(talk, identifier)
    yield Reached(Stage.CARD_READ)
    read = reading(contents)
    found = talk.found(read, (yield from _authenticate_all(talk, talk.product.session_keys(), then=read.commands)))
    yield Reached(Stage.AUTHENTICATED)
    yield from _write_what_differs(talk, contents, found)
    for key in talk.product.keys:
        yield from _replace(talk, key)
    yield Reached(Stage.KEYS_REPLACED)
    yield from _verify(talk, contents, identifier, own_challenge)
    yield Reached(Stage.VERIFIED)
    return Verified()


def _authenticate_all(
    talk: Conversation, keys: Sequence[Key], *, only: Generation | None = None, then: Sequence[Command]
) -> Part[tuple[Response, ...]]:
    for key in keys[:-1]:
        yield from talk.authenticate(key, only=only)
    return (yield from talk.authenticate(keys[-1], only=only, then=then))


def _write_what_differs(talk: Conversation, contents: Sequence[Content], found: Mapping[str, bytes | None]) -> Part[None]:
    for content in contents:
        if content.factory and found[content.place] != content.content:
            raise talk.end(Refusal.FACTORY_DATA_DIFFER, content.place)
    for file, of_file in groupby(contents, key=lambda content: content.file):
        last = file == contents[-1].file
        differing = [one for one in of_file if found[one.place] != one.content]
        if differing:
            yield from talk.write(differing, then_challenge=last)
        yield Reached(Stage.NUMBER_WRITTEN if last else Stage.HOLDER_WRITTEN)


def _replace(talk: Conversation, key: Key) -> Part[None]:
    """Put the final key into its place, unless it is there; the key that protects it is on the card, old or new."""
    if key.authenticates:
        if key.name not in talk.proven:
            yield from talk.authenticate(key)
        if talk.proven[key.name] is Generation.FINAL:
            return
    elif key_state(key, talk.past).load is Outcome.DONE:
        return
    protector = talk.product.key(key.under)
    if protector.name not in talk.proven:
        yield from talk.authenticate(protector)
    challenge = yield from talk.challenge()
    header = talk.product.load_header(key)
    use = KeyUse(protector.address, talk.proven[protector.name])
    data = yield from talk.ask(AskVault(Operation.LOAD_KEY, use, challenge, loads=key.address, header=header), header[-1])
    last = key == talk.product.keys[-1]
    commands = [apdu.protected(header, data), *([] if last else [talk.challenge_command()])]
    responses = yield from talk.send(commands, Change(ChangeKind.KEY_LOAD, key.address))
    talk.refuse_unless(responses[0].ok, responses[0], Refusal.KEY_LOAD_REFUSED)
    if not last:
        talk.take_challenge(responses[1])
    talk.proven[key.name] = Generation.FINAL


def _verify(talk: Conversation, contents: Sequence[Content], identifier: bytes, own_challenge: bytes) -> Part[None]:
    """As a stranger: the application is selected anew, so that nobody is authenticated any more."""
    yield from identify(talk, identifier)
    proving = [key for key in talk.product.keys if key.authenticates]
    read = reading(contents)
    responses = yield from _authenticate_all(talk, proving, only=Generation.FINAL, then=read.commands)
    found = talk.found(read, responses)
    for content in contents:
        if found[content.place] != content.content:
            raise talk.end(Refusal.READ_BACK_DIFFERS, content.place)
    if internal := talk.product.internal:
        yield from talk.prove_card(internal, own_challenge, Generation.FINAL)
