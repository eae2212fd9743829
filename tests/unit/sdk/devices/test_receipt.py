"""A receipt: what came of a visit, for the holder to take home, on paper of 80 mm and in plain text."""

import re

import pypdfium2

from onecard.card.v1.applications_pb2 import Refusal
from onecard.card.v1.window_pb2 import VisitLine, VisitReceipt
from sdk.window.devices.receipt import COLUMNS, columns_of, receipt_text
from sdk.window.devices.receipt_pdf import receipt_pdf
from sdk.window.devices.type import find_type

AUTHORITY = "五邑市人力资源和社会保障局"
MESSAGE = "该卡未锁定，无需解除锁定；如忘记密码，请持卡人本人携带有效身份证件办理重置密码。"
ONE = [VisitLine(what="ENABLE")]


def receipt(*, reprint: bool = False) -> VisitReceipt:
    return VisitReceipt(
        visit_number=4711,
        visit_id="6f2a90c458d14a6e9d27b1e05c3f8a41",
        holder_id=99_887,
        outlet="CITY-HALL",
        staff_id=3,
        time_ms=1_767_597_600_000,
        reprint=reprint,
        lines=[
            VisitLine(what="REPORT_FORMAL_LOSS", card_id=4),
            VisitLine(what="SUBMIT", application_id=1234, fee_fen=2000, not_carried=["姓名中的“㐂”"], hints=["照片偏左"]),
            VisitLine(what="UNLOCK", card_id=4, fee_fen=700, refusal=Refusal(reason="NOT_LOCKED", message=MESSAGE)),
            VisitLine(what="WITHDRAW", application_id=12, hand_out_fen=1500),
        ],
    )


def printed(told: VisitReceipt) -> str:
    document = pypdfium2.PdfDocument(receipt_pdf(told, AUTHORITY, find_type()))
    (page,) = document
    return re.sub(r"\s", "", page.get_textpage().get_text_range())


def test_it_says_what_was_done_what_not_and_what_was_paid() -> None:
    for text in (re.sub(r"\s", "", receipt_text(receipt(), AUTHORITY)), printed(receipt())):
        at = 0
        for part in (
            AUTHORITY,
            "业务办理回执",
            "4711",
            "6f2a90c458d14a6e9d27b1e05c3f8a41",
            "2026-01-0515:20:00",
            "正式挂失已办理",
            "申领社会保障卡20.00元",
            "1234",
            "解除锁定未办理",
            MESSAGE,
            "收费合计20.00元",
            "退还现金15.00元",
            "12333",
        ):
            at = text.index(part, at) + len(part)


def test_only_a_reprint_says_that_it_is_one() -> None:
    for render in (lambda told: receipt_text(told, AUTHORITY), printed):
        assert "补打" in render(receipt(reprint=True))
        assert "补打" not in render(receipt())


def test_what_is_for_the_clerk_stays_with_the_clerk() -> None:
    for text in (receipt_text(receipt(), AUTHORITY), printed(receipt())):
        assert not any(word in text for word in ("㐂", "照片偏左", "99887"))


def test_the_paper_is_80_mm_wide_and_as_long_as_it_takes() -> None:
    def size(told: VisitReceipt) -> tuple[float, float]:
        width, height = pypdfium2.PdfDocument(receipt_pdf(told, AUTHORITY, find_type()))[0].get_size()
        return round(width * 25.4 / 72, 1), height

    long = receipt()
    long.lines.extend(ONE * 6)
    assert size(receipt())[0] == size(long)[0] == 80.0
    assert size(long)[1] > size(receipt())[1]


def test_no_line_is_wider_than_the_roll() -> None:
    wide = receipt()
    wide.visit_id = "W" * 64
    wide.outlet = "五邑市民服务中心" * 5
    assert max(columns_of(line) for line in receipt_text(wide, AUTHORITY * 2).splitlines()) <= COLUMNS
    assert "五邑市民服务中心" * 5 in printed(wide)


def test_a_visit_of_which_nothing_was_stored_is_told_without_a_number() -> None:
    told = VisitReceipt(visit_id="v", lines=[VisitLine(what="COLLECT", refusal=Refusal(message=MESSAGE))])
    assert "业务编号" not in receipt_text(told, AUTHORITY)
    assert "收费合计0.00元" in printed(told)


def test_a_character_that_the_type_lacks_stands_there_as_its_code_point() -> None:
    told = receipt()
    told.outlet = "王\U000323af"
    assert "王（U+323AF）" in printed(told)


def test_what_is_known_of_the_file_says_nothing() -> None:
    told = pypdfium2.PdfDocument(receipt_pdf(receipt(), AUTHORITY, find_type())).get_metadata_dict()
    assert [key for key, value in told.items() if value] == ["CreationDate"]
