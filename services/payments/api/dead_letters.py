"""DeadLetterService: what those ask who look after dead letters."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1 import dead_letter_service_pb2 as messages
from onecard.payments.v1.dead_letter_service_pb2_grpc import DeadLetterServiceServicer
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.common.grpc.pages import read_token, write_token
from services.payments.adapters.callers import OPERATOR
from services.payments.adapters.letter_acts import add_act, list_acts
from services.payments.adapters.letters import AfterNumber, Wanted, count_letters, list_letters
from services.payments.api import reading
from services.payments.api.desk import Desk
from services.payments.domain.letter import Act, ActKind, Letter, Replayed, mask
from services.payments.domain.verdict import Cause
from services.payments.handlers.judge_letters import JudgeLetters
from services.payments.handlers.refuse_letters import RefuseLetters
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters

_MOST_AT_ONCE: Final = 500
_LONGEST_REASON: Final = 500
_CAUSES: Final = {cause.value: cause for cause in Cause}
_NEWEST: Final = 2**63 - 1


class DeadLetterService(DeadLetterServiceServicer):
    """Everything here needs the right of an operator; who acts is the subject of the certificate."""

    def __init__(
        self, desk: Desk, engine: AsyncEngine, judge: JudgeLetters, replay: ReplayDeadLetters, refuse: RefuseLetters
    ) -> None:  # fmt: skip
        self._desk = desk
        self._engine = engine
        self._judge = judge
        self._replay = replay
        self._refuse = refuse

    async def CountDeadLetters(  # noqa: N802 - gRPC's name, as all below
        self, request: messages.CountDeadLettersRequest, context: Any
    ) -> messages.CountDeadLettersResponse:
        """How many there are of each kind."""
        await self._operator()
        wanted = _wanted(request.filter)
        async with self._engine.connect() as connection:
            found = await count_letters(connection, wanted)
        return messages.CountDeadLettersResponse(
            counts=[
                messages.DeadLetterCount(
                    cause=one.cause.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
                    topic=one.topic,
                    merchant_id=one.merchant_id,
                    records=one.records,
                    oldest_time_ms=one.oldest_ms,
                )
                for one in found
            ]
        )

    async def ListDeadLetters(  # noqa: N802
        self, request: messages.ListDeadLettersRequest, context: Any
    ) -> messages.ListDeadLettersResponse:
        """A page of them."""
        await self._operator()
        wanted, size = _wanted(request.filter), reading.page_size(request.page_size, 100, 1000)
        page = read_token(request.page_token, AfterNumber)
        async with self._engine.connect() as connection:
            found = await list_letters(connection, wanted, page.number if page else 0, size)
        following = AfterNumber(found[-1].number) if len(found) == size else None
        return messages.ListDeadLettersResponse(letters=map(_summary, found), next_page_token=write_token(following))

    async def GetDeadLetter(  # noqa: N802
        self, request: messages.GetDeadLetterRequest, context: Any
    ) -> messages.GetDeadLetterResponse:
        """One of them, and how it stands."""
        await self._operator()
        judged = await self._judge(_number("number", request.number))
        if judged is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_DEAD_LETTER", "there is no dead letter of this number")
        return messages.GetDeadLetterResponse(
            letter=_summary(judged.letter),
            standing=judged.standing.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
            cause_now=judged.cause_now.value if judged.cause_now else 0,  # type: ignore[arg-type]
            acts=map(_act, judged.acts),
        )

    async def ReplayDeadLetters(  # noqa: N802
        self, request: messages.ReplayDeadLettersRequest, context: Any
    ) -> messages.ReplayDeadLettersResponse:
        """Decide the very bytes again. The act is written down first: what came of it stands on the records."""
        actor = await self._operator()
        numbers, reason = _numbers(request.numbers), _reason(request.reason)
        request_id = reading.request_id(request.request_id)
        async with self._engine.begin() as connection:
            await add_act(connection, request_id, ActKind.REPLAY, actor, numbers, reason)
        results = await self._replay.of_numbers(numbers)
        return messages.ReplayDeadLettersResponse(results=map(_result, results))

    async def RequestRefusal(  # noqa: N802
        self, request: messages.RequestRefusalRequest, context: Any
    ) -> messages.RequestRefusalResponse:
        """Ask for an end."""
        actor = await self._operator()
        numbers, reason = _numbers(request.numbers), _reason(request.reason)
        act = await self._refuse.ask(actor, reading.request_id(request.request_id), numbers, reason)
        return messages.RequestRefusalResponse(act=_act(act))

    async def ApproveRefusal(  # noqa: N802
        self, request: messages.ApproveRefusalRequest, context: Any
    ) -> messages.ApproveRefusalResponse:
        """Approve what somebody else has asked for."""
        actor = await self._operator()
        asked = _number("asked", request.asked)
        approved = await self._refuse.approve(actor, reading.request_id(request.request_id), asked)
        return messages.ApproveRefusalResponse(act=_act(approved.act), ended_before=approved.ended_before)

    async def RejectRefusal(  # noqa: N802
        self, request: messages.RejectRefusalRequest, context: Any
    ) -> messages.RejectRefusalResponse:
        """Say no to it."""
        actor = await self._operator()
        asked, reason = _number("asked", request.asked), _reason(request.reason)
        act = await self._refuse.reject(actor, reading.request_id(request.request_id), asked, reason)
        return messages.RejectRefusalResponse(act=_act(act))

    async def ListDeadLetterActs(  # noqa: N802
        self, request: messages.ListDeadLetterActsRequest, context: Any
    ) -> messages.ListDeadLetterActsResponse:
        """What was done."""
        await self._operator()
        size, page = reading.page_size(request.page_size, 100, 1000), read_token(request.page_token, AfterNumber)
        async with self._engine.connect() as connection:
            found = await list_acts(connection, page.number if page else _NEWEST, size, waiting=request.waiting)
        following = AfterNumber(found[-1].number) if len(found) == size else None
        return messages.ListDeadLetterActsResponse(acts=map(_act, found), next_page_token=write_token(following))

    async def _operator(self) -> str:
        (await self._desk.caller()).needs(OPERATOR)
        return current_peer().subject.uri


def _wanted(asked: messages.DeadLetterFilter) -> Wanted:
    cause = _CAUSES.get(asked.cause)
    if asked.cause and cause is None:
        raise reading.bad("filter.cause", "there is no such cause")
    topic = reading.identifier("filter.topic", asked.topic, 64) if asked.topic else ""
    merchant_id = reading.identifier("filter.merchant_id", asked.merchant_id, 64) if asked.merchant_id else ""
    return Wanted(cause, topic, merchant_id, reading.instant_ms("filter.before_time_ms", asked.before_time_ms), asked.ended)


def _number(field: str, value: int) -> int:
    if value < 1:
        raise reading.bad(field, "a number is wanted")
    return value


def _numbers(asked: Sequence[int]) -> list[int]:
    if not 1 <= len(asked) <= _MOST_AT_ONCE or len(set(asked)) != len(asked):
        raise reading.bad("numbers", f"1 to {_MOST_AT_ONCE} different numbers are wanted")
    return [_number("numbers", one) for one in asked]


def _reason(text: str) -> str:
    if not (text.strip() and len(text) <= _LONGEST_REASON and text.isprintable()):
        raise reading.bad("reason", f"a line of 1 to {_LONGEST_REASON} characters is wanted")
    return text


def _summary(letter: Letter) -> messages.DeadLetterSummary:
    return messages.DeadLetterSummary(
        number=letter.number,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        append_time_ms=letter.append_time_ms,
        cause=letter.cause.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
        sqlstate=letter.sqlstate,
        merchant_id=letter.merchant_id or "",
        terminal_id=letter.terminal_id or "",
        terminal_sequence=letter.sequence or 0,
        masked_card=mask(letter.card_identifier or ""),
        create_time_ms=letter.create_time_ms,
        end_time_ms=letter.end_time_ms,
        refusal=letter.refusal or 0,
        record_bytes=letter.record_bytes,
    )


def _result(one: Replayed) -> messages.ReplayResult:
    return messages.ReplayResult(
        number=one.number,
        outcome=one.outcome.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
        reason=one.reason.value,  # type: ignore[arg-type]
        cause=one.cause.value if one.cause else 0,  # type: ignore[arg-type]
    )


def _act(act: Act) -> messages.DeadLetterAct:
    return messages.DeadLetterAct(
        number=act.number,
        kind=act.kind.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
        actor=act.actor,
        time_ms=act.time_ms,
        letters=act.letters,
        reason=act.reason,
        asked=act.asked or 0,
    )
