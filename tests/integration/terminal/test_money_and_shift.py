"""Top-ups that are never brought twice, and the end of a shift: counted first, then compared."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from textual.widgets import Static

from cli.terminal.screens.shift import CloseShift
from cli.terminal.screens.spoil import Spoil
from cli.terminal.screens.top_up import TopUp
from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import payments_pb2 as payments
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceServicer, add_PaymentsServiceServicer_to_server
from sdk.merchant.access import Line, open_line
from services.card.domain.actor import Role
from services.common.database import driver_session, make_engine
from services.issuance.domain.actor import Role as IssuanceRole
from tests.support.blank_desk import BlankDesk, open_desk
from tests.support.blanks import WINDOW, add_blanks
from tests.support.hall import Hall
from tests.support.terminal import Hands, account_of, sign_in, window_app
from tests.support.town import Database

CHIP = "440700D1560000050000000178ABCDEF"


class Payments(PaymentsServiceServicer):
    """Decides once for a request id; its first answer is lost."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fen = 0

    async def TopUp(self, request: payments.TopUpRequest, context: Any) -> payments.TopUpResponse:  # noqa: N802
        if request.request_id not in self.asked:
            self.fen += request.amount.amount_fen
        self.asked.append(request.request_id)
        if len(self.asked) == 1:
            await context.abort(grpc.StatusCode.INTERNAL, "gone")
        receipt = payments.Receipt(decision=payments.DECISION_APPROVED, amount=Money(amount_fen=self.fen), decide_time_ms=1)
        return payments.TopUpResponse(receipt=receipt)


@pytest.fixture
async def till() -> AsyncIterator[tuple[Payments, int]]:
    server: Any = grpc.aio.server()
    service = Payments()
    add_PaymentsServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield service, port
    await server.stop(None)


async def test_a_top_up_whose_answer_is_lost_is_asked_again_and_not_brought_twice(
    hall: Hall, till: tuple[Payments, int]
) -> None:
    service, port = till

    def dial() -> Line:
        return open_line(f"127.0.0.1:{port}", WINDOW, None)

    async with window_app(hall, payments=dial) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        await hands.press("f5")
        assert hands.at(TopUp)
        await hands.key_in(card_identifier=CHIP, amount="1.005")
        await hands.press("f9")
        assert "最多两位小数" in hands.said()
        await hands.key_in(amount="50")
        await hands.press("f9")
        assert "不会重复办理" in hands.said()
        await hands.press("f9")
        assert "50.00 元" in hands.said()
        hands.picture("top-up")
    assert len(set(service.asked)) == 1
    assert len(service.asked) == 2
    assert service.fen == 5000


async def test_a_window_without_payments_says_where_to_go(hall: Hall) -> None:
    async with window_app(hall, language="en") as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        await hands.press("f5")
        await hands.key_in(card_identifier=CHIP, amount="50")
        await hands.press("f9")
        assert "send the holder to another one" in hands.said()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[BlankDesk]:
    engine = make_engine(database.issuance_url, "tests", sessions=8)
    async with driver_session(engine) as driver:
        await add_blanks(driver, 3)
    async with open_desk(engine) as opened:
        yield opened
    await engine.dispose()


async def counted(hands: Hands, **told: str) -> None:
    await hands.key_in(**told)
    await hands.press("f9")


async def test_a_shift_is_counted_before_the_books_are_shown_and_closed_when_it_agrees(hall: Hall, desk: BlankDesk) -> None:
    def dial() -> Line:
        return open_line(f"127.0.0.1:{desk.port}", WINDOW, None)

    async with window_app(hall, issuance=dial) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        session = hands.app.desk.session  # type: ignore[attr-defined]
        actor = next(iter(desk.staff._actors.values()), None)
        assert actor is None
        token = desk.staff.sign_in(3, IssuanceRole.CLERK)
        desk.staff._actors[session.token] = desk.staff._actors[token]
        await hands.press("f11")
        assert hands.at(CloseShift)
        await hands.press("f8")
        assert "请先提交清点" in hands.said()
        assert not hands.app.screen.query_one("#balance").display
        await counted(hands, unused="2", cash="0")
        assert "账实不符" in hands.said()
        assert hands.app.screen.query_one("#balance").display
        hands.picture("shift")
        await hands.press("f8")
        assert "已结班" not in hands.said()
        await counted(hands, unused="3")
        assert "看到账面后改过清点数" in hands.said()
        await hands.press("f8")
        assert "写明先前差异的原因" in hands.said()
        await hands.key_in(reason="one in the drawer")
        await hands.press("f8")
        assert "请另一位同事" in hands.said()
        (asked,) = (await desk.supervisor().ask("ListCountersignatures", messages.ListCountersignaturesRequest())).waiting
        decision = messages.DecideCountersignatureRequest(countersignature_id=asked.countersignature_id, sign=True)
        await desk.supervisor().ask("DecideCountersignature", decision)
        await hands.press("f8")
        assert "已结班" in hands.said()


async def test_a_card_whose_chip_is_dead_is_recorded_by_its_plastic_with_a_second_person(hall: Hall, desk: BlankDesk) -> None:
    def dial() -> Line:
        return open_line(f"127.0.0.1:{desk.port}", WINDOW, None)

    (listed,) = {tuple(one.serial for one in (await desk.clerk().ask("ListBlanks", messages.ListBlanksRequest())).blanks)}
    async with window_app(hall, issuance=dial) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        session = hands.app.desk.session  # type: ignore[attr-defined]
        desk.staff._actors[session.token] = desk.staff._actors[desk.staff.sign_in(3, IssuanceRole.CLERK)]
        await hands.press("f4")
        await hands.key_in(serial=listed[0])
        await hands.press("f8")
        assert hands.at(Spoil)
        await hands.press("f9")
        assert "请填写序列号和原因" in hands.said()
        await hands.key_in(reason="chip is dead")
        for _ in range(2):
            await hands.press("f9")
            assert "请另一位同事" in hands.said()
        (asked,) = (await desk.supervisor().ask("ListCountersignatures", messages.ListCountersignaturesRequest())).waiting
        decision = messages.DecideCountersignatureRequest(countersignature_id=asked.countersignature_id, sign=True)
        await desk.supervisor().ask("DecideCountersignature", decision)
        await hands.press("f9")
        assert f"{listed[0]} 已登记为废卡" in hands.said()
        await hands.key_in(serial=listed[0], reason="chip is dead")
        await hands.press("f9")
        assert "废卡" in hands.said()
        assert "会签" not in hands.said()
        blank = (await desk.keeper().ask("GetBlank", messages.GetBlankRequest(serial=listed[0]))).blank
        assert blank.state == messages.BLANK_STATE_SPOILED


async def test_who_signs_sees_every_serial(hall: Hall, desk: BlankDesk) -> None:
    def dial() -> Line:
        return open_line(f"127.0.0.1:{desk.port}", WINDOW, None)

    (listed,) = {tuple(one.serial for one in (await desk.clerk().ask("ListBlanks", messages.ListBlanksRequest())).blanks)}
    missing = messages.ReportMissingRequest(request_id="M1", serials=listed, incident="I-7")
    assert (await desk.clerk().ask("ReportMissing", missing)).moved.countersignature_id
    async with window_app(hall, issuance=dial) as hands:
        await sign_in(hands, await account_of(hall, Role.SUPERVISOR, "chief-71"))
        session = hands.app.desk.session  # type: ignore[attr-defined]
        desk.staff._actors[session.token] = desk.staff._actors[desk.staff.sign_in(4, IssuanceRole.SUPERVISOR)]
        await hands.press("f7")
        await hands.settle()
        (row,) = hands.rows("waiting")
        assert row[1] == "登记遗失"
        told = str(hands.app.screen.query_one("#what", Static).render())
        assert f"序列号 {listed[0]}–{listed[-1]} (3)" in told
        assert "共计张数 3" in told
        hands.picture("countersignature")
