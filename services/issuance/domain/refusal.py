"""Why something was not done: one enum for the whole service, and the sentence a clerk can say for each."""

from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """A rule said no. The names travel and are stored: never changed, never used again."""

    # A blank's state
    BLANK_AT_DEPOT = "BLANK_AT_DEPOT"
    BLANK_NOT_BEGUN = "BLANK_NOT_BEGUN"
    BLANK_IN_USE = "BLANK_IN_USE"
    BLANK_PRINTED = "BLANK_PRINTED"
    BLANK_HANDED_OVER = "BLANK_HANDED_OVER"
    BLANK_SPOILED = "BLANK_SPOILED"
    BLANK_RETURNED = "BLANK_RETURNED"
    BLANK_DESTROYED = "BLANK_DESTROYED"
    BLANK_IN_TRANSFER = "BLANK_IN_TRANSFER"
    BLANK_MISSING = "BLANK_MISSING"
    BLANK_BARRED = "BLANK_BARRED"
    BLANK_OF_ANOTHER = "BLANK_OF_ANOTHER"
    BLANK_ELSEWHERE = "BLANK_ELSEWHERE"
    UNKNOWN_BLANK = "UNKNOWN_BLANK"
    SUPERSEDED = "SUPERSEDED"


SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.BLANK_AT_DEPOT: "该空白卡尚未领用到窗口，请联系空白卡管理员办理领用。",
    Refusal.BLANK_NOT_BEGUN: "该空白卡尚未开始制卡，请核对卡片序列号。",
    Refusal.BLANK_IN_USE: "该卡正在制作中，请先在制卡界面完成或终止制卡。",
    Refusal.BLANK_PRINTED: "该卡已制作完成、等待交付，请先办理交付；已损坏的请登记废卡。",
    Refusal.BLANK_HANDED_OVER: "该卡已交付持卡人，不能再办理空白卡业务。",
    Refusal.BLANK_SPOILED: "该卡已登记为废卡，请交空白卡管理员收回。",
    Refusal.BLANK_RETURNED: "该卡已交回库房，不能再使用。",
    Refusal.BLANK_DESTROYED: "该卡已登记销毁；如实物仍在，请立即报告主管。",
    Refusal.BLANK_IN_TRANSFER: "该卡正在调拨途中，请先在接收点确认收到。",
    Refusal.BLANK_MISSING: "该卡已登记遗失，不能使用；如已找回，请办理找回登记。",
    Refusal.BLANK_BARRED: "该卡已被停用，不能制卡；请登记废卡后交空白卡管理员。",
    Refusal.BLANK_OF_ANOTHER: "该卡正用于另一笔申请，请换一张空白卡。",
    Refusal.BLANK_ELSEWHERE: "该卡登记在另一网点或终端，请核对卡片，或先办理调拨。",
    Refusal.UNKNOWN_BLANK: "没有登记过该卡，请核对卡片序列号；不得使用来历不明的卡片。",
    Refusal.SUPERSEDED: "该卡已在另一窗口继续制作，本窗口请停止操作。",
}


def sentence(refusal: Refusal) -> str:
    """What a clerk can say to the person in front of them."""
    return SENTENCES[refusal]
