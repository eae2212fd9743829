"""Between the messages of proto/ and the domain's values."""

from hashlib import sha256
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from onecard.payments.v1.dead_letters_pb2 import DeadLetter
from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED, VERDICT_REFUSED, Outcome
from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from services.common import topics
from services.common.clock import LATEST_MS
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.domain.operation import Ruling
from services.payments.domain.tap import CardForm, Facts, Scene, Side, Tap, Terminal
from services.payments.domain.verdict import Answer, Cause, Reason, Revised

SCENE_OF_TOPIC: Final = {
    topics.TRANSACTIONS_BUS: Scene.BUS,
    topics.TRANSACTIONS_CAMPUS: Scene.CAMPUS,
    topics.TRANSACTIONS_SCENIC: Scene.SCENIC,
}
CHANNEL_OF_TOPIC: Final = {topic: scene.name.lower() for topic, scene in SCENE_OF_TOPIC.items()}
_SCENE_OF_BODY: Final = {
    "bus_ride": Scene.BUS,
    "campus_purchase": Scene.CAMPUS,
    "campus_entry": Scene.CAMPUS,
    "campus_loan": Scene.CAMPUS,
    "scenic_entry": Scene.SCENIC,
}
_SIDE: Final = {side.value: side for side in Side}
_FORM: Final = {form.value: form for form in CardForm}
_LONGEST_IDENTIFIER: Final = 64
_LONGEST_CARD_IDENTIFIER: Final = 32
_LONGEST_FACTS: Final = 192
_LARGEST_SEQUENCE: Final = 2**63 - 1


class Received(NamedTuple):
    """A record as it came. Its place is the first four: a broker that lost its data counts offsets from zero again."""

    topic: str
    partition: int
    offset: int
    append_time_ms: int
    value: bytes


class Undecided(NamedTuple):
    """A record that cannot be decided, with what could be read of its identity."""

    cause: Cause
    merchant_id: str | None = None
    terminal_id: str | None = None
    sequence: int | None = None
    digest: bytes | None = None
    card_identifier: str | None = None
    sqlstate: str = ""


def decode(record: Received, registry: Registry, verifier: Verifier) -> Tap | Undecided:
    """Read a record of a transactions topic; whatever is wrong with it becomes a cause, never an exception."""
    try:
        signed = SignedTransaction.FromString(record.value)
        body_bytes = signed.body
        body = TransactionBody.FromString(body_bytes)
    except DecodeError:
        return Undecided(Cause.UNDECODABLE)
    merchant_id, terminal_id, card_identifier = body.merchant_id, body.terminal_id, body.card_identifier
    sequence, event_time_ms = body.terminal_sequence, body.event_time_ms
    digest = sha256(body_bytes).digest()
    if not (merchant_id and terminal_id and card_identifier and 0 < sequence <= _LARGEST_SEQUENCE):
        return Undecided(Cause.UNDECODABLE, digest=digest)
    if not 0 < event_time_ms <= LATEST_MS:  # later is no time; clocks that are off are the rules' to refuse
        return Undecided(Cause.UNDECODABLE, digest=digest)
    terminal = registry.find(merchant_id, terminal_id)
    if not _is_identifier(card_identifier, _LONGEST_CARD_IDENTIFIER):
        return Undecided(Cause.BAD_TEXT, digest=digest)
    read = (merchant_id, terminal_id, sequence, digest, card_identifier)
    if isinstance(terminal, Cause):
        if _is_identifier(merchant_id, _LONGEST_IDENTIFIER) and _is_identifier(terminal_id, _LONGEST_IDENTIFIER):
            return Undecided(terminal, *read)
        return Undecided(Cause.BAD_TEXT, digest=digest)
    if signed.terminal_id != terminal_id:
        return Undecided(Cause.UNKNOWN_TERMINAL, *read)
    scene = SCENE_OF_TOPIC[record.topic]
    body_scene = body.WhichOneof("scene")
    if terminal.scene != scene or body_scene is None or _SCENE_OF_BODY[body_scene] != scene:
        return Undecided(Cause.WRONG_SCENE, *read)
    if cause := verifier.check(terminal, signed.epoch, body_bytes, signed.tac):
        return Undecided(cause, *read)
    price_fen = body.price_fen if body.HasField("price_fen") else None
    facts = _facts(body, body_scene)
    if facts is None or (form := _FORM.get(body.card_form)) is None:
        return Undecided(Cause.BAD_TEXT, *read)
    return Tap(terminal, sequence, digest, card_identifier, event_time_ms, price_fen, facts, form, body_bytes)


def tap_of_body(terminal: Terminal, body_bytes: bytes) -> Tap:
    """The tap of a body that was accepted before."""
    body = TransactionBody.FromString(body_bytes)
    scene = body.WhichOneof("scene")
    assert scene is not None
    facts = _facts(body, scene)
    assert facts is not None
    return Tap(
        terminal, body.terminal_sequence, sha256(body_bytes).digest(), body.card_identifier, body.event_time_ms,
        body.price_fen if body.HasField("price_fen") else None, facts, _FORM[body.card_form], body_bytes,
    )  # fmt: skip


def _facts(body: TransactionBody, scene: str) -> Facts | None:
    """What tariffs rate by; None where a text of it is no identifier, or a number of it is unknown."""
    match scene:
        case "bus_ride":
            ride = body.bus_ride
            side = _SIDE.get(ride.side)
            if side is None:
                return None
            facts = Facts(ride.line_id, ride.stop_id, ride.vehicle_id, side, ride.riders or 1)
            text = facts.line + facts.stop + facts.vehicle
        case "campus_purchase":
            text = body.campus_purchase.outlet_id
            facts = Facts(outlet=text)
        case "campus_entry":
            text = body.campus_entry.door_id
            facts = Facts(outlet=text)
        case "campus_loan":
            loan = body.campus_loan
            facts = Facts(outlet=loan.outlet_id, item=loan.item_id, returned=loan.returned)
            text = facts.outlet + facts.item
        case _:
            entry = body.scenic_entry
            facts = Facts(gate=entry.gate_id, ticket=entry.ticket)
            text = facts.gate + facts.ticket
    return facts if len(text) <= _LONGEST_FACTS and text.isprintable() else None


def _is_identifier(text: str, longest: int) -> bool:
    """Visible ASCII without blanks: what validators write, and what every column and log can carry."""
    return len(text) <= longest and text.isascii() and text.isprintable() and " " not in text


class Outcomes:
    """Writes the outcome messages of one batch; one object is filled again and again because that halves the cost.

    Make a new one for each batch: a message keeps the memory of every text that was ever set in it.
    """

    def __init__(self) -> None:
        self._message = Outcome()

    def encode(self, tap: Tap, answer: Answer) -> bytes | None:
        """The outcome of a tap: its verdict, or that its identity belongs to another body; None for a dead letter."""
        message = self._message
        verdict = answer.verdict
        if verdict is not None:
            message.verdict = VERDICT_POSTED if verdict.posted else VERDICT_REFUSED
            message.reason = verdict.reason  # type: ignore[assignment]  # numbers agree, a test holds it
            message.fare.amount_fen = verdict.fare_fen
            message.charged.amount_fen = verdict.charged_fen
            message.batch_number = verdict.batch
            message.batch_row = verdict.row
            message.decide_time_ms = verdict.decide_time_ms
        elif answer.cause is Cause.IDENTITY_CONFLICT:
            message.Clear()
            message.verdict = VERDICT_REFUSED
            message.reason = Reason.IDENTITY_CONFLICT.value  # type: ignore[assignment]
        else:
            return None
        identity = message.identity
        identity.merchant_id = tap.terminal.merchant_id
        identity.terminal_id = tap.terminal.terminal_id
        identity.terminal_sequence = tap.sequence
        message.body_digest = tap.digest
        return message.SerializeToString()

    def encode_revised(self, revised: Revised) -> bytes:
        """The outcome of a tap whose fare another one has changed: it was posted, and stays so."""
        message = self._message
        message.Clear()
        identity = message.identity
        identity.merchant_id = revised.terminal.merchant_id
        identity.terminal_id = revised.terminal.terminal_id
        identity.terminal_sequence = revised.sequence
        message.body_digest = revised.digest
        message.revision = revised.revision
        message.verdict = VERDICT_POSTED
        message.fare.amount_fen = revised.fare_fen
        message.charged.amount_fen = revised.charged_fen
        message.batch_number = revised.batch
        message.batch_row = revised.row
        message.decide_time_ms = revised.decide_time_ms
        content = message.SerializeToString()
        message.Clear()
        return content

    def encode_ruling(self, merchant_id: str, terminal_id: str, request_id: str, ruling: Ruling) -> bytes:
        """The outcome of an operation, for the merchant whose payment it concerns."""
        message = self._message
        message.Clear()
        identity = message.identity
        identity.merchant_id = merchant_id
        identity.terminal_id = terminal_id
        identity.request_id = request_id
        message.body_digest = ruling.digest
        message.verdict = VERDICT_REFUSED if ruling.reason else VERDICT_POSTED
        message.reason = ruling.reason  # type: ignore[assignment]  # numbers agree, a test holds it
        message.fare.amount_fen = message.charged.amount_fen = ruling.amount_fen
        message.batch_number = ruling.batch
        message.batch_row = ruling.row
        message.decide_time_ms = ruling.decide_time_ms
        message.operation = ruling.kind  # type: ignore[assignment]  # numbers agree, a test holds it
        if ruling.payment is not None:
            message.payment_id = ruling.payment.hex()
        return message.SerializeToString()


def encode_dead_letter(record: Received, cause: Cause, sqlstate: str, now_ms: int) -> bytes:
    """A record of `payments.dead-letters`."""
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        append_time_ms=record.append_time_ms,
        cause=cause.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
        sqlstate=sqlstate,
        record=record.value,
        create_time_ms=now_ms,
    ).SerializeToString()
