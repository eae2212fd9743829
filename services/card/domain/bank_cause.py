"""What can be wrong with a bank's answer, and what a bank can say against an application: each with its way forward."""

from enum import IntEnum
from typing import Final, NamedTuple


class BankCause(IntEnum):
    """Why a bank opens no account: the code in its file. Above all of Refusal, so that both may stand in one column."""

    IDENTITY_NOT_CONFIRMED = 101
    """Name and number are not of one person, by what the bank looked up."""
    ACCOUNT_LIMIT = 102
    RISK = 103
    DOCUMENT_EXPIRED = 104
    OTHER = 199


BANK_CAUSES: Final = frozenset(cause.value for cause in BankCause)


class RowFault(IntEnum):
    """Why one row of a return has no effect; its application stays as it is."""

    UNKNOWN_ROW = 201
    NUMBER_MISMATCH = 202
    NAME_MISMATCH = 203
    ANSWER_UNCLEAR = 204
    """An unknown verdict or cause, or an account that goes with a refusal."""
    ACCOUNT_INVALID = 205
    ACCOUNT_SHARED = 206
    """The bank gave the same account to two rows: neither of them can be believed."""
    CONFLICT = 207
    """Another answer than the first one, which stays."""
    ACCOUNT_DIFFERS = 208
    """Another account than the one that it accepted beforehand."""


class ReturnFault(IntEnum):
    """Why a return is refused whole."""

    LAYOUT_UNKNOWN = 301
    HEADER_UNREADABLE = 302
    ROW_UNREADABLE = 303
    """Of another length or number of fields, or without a number where one belongs."""
    ROW_TWICE = 304
    COUNT_DIFFERS = 305
    ACCEPTED_DIFFERS = 306
    TOTAL_DIFFERS = 307
    BANK_DIFFERS = 308
    BATCH_UNKNOWN = 309


class WayForward(IntEnum):
    """What is to be done next; a work list is sorted by it."""

    CORRECT_AND_RESUBMIT = 1
    OTHER_PRODUCT_OR_BANK = 2
    VISIT_BANK = 3
    RENEW_DOCUMENT = 4
    ROW_AGAIN = 5
    RETURN_AGAIN = 6
    PERSON_DECIDES = 7


WAYS: Final = {
    WayForward.CORRECT_AND_RESUBMIT: "请申请人核对姓名和证件，更正后重新提交。",
    WayForward.OTHER_PRODUCT_OR_BANK: "请申请人改选Ⅱ类户或另一家合作银行，再重新提交。",
    WayForward.VISIT_BANK: "请申请人持有效证件到银行网点核实，再重新提交。",
    WayForward.RENEW_DOCUMENT: "请申请人换领有效证件后重新提交。",
    WayForward.ROW_AGAIN: "请银行核对该行并在下一次回盘中重发；尚无结果的申请继续等待。",
    WayForward.RETURN_AGAIN: "请银行更正后重新发送整份回盘；本批申请继续等待。",
    WayForward.PERSON_DECIDES: "以第一次结果为准；请专人与银行核实，核实前不作变更。",
}


class Guidance(NamedTuple):
    """What a clerk can say, and what comes next."""

    sentence: str
    way: WayForward


GUIDANCE: Final[dict[BankCause | RowFault | ReturnFault, Guidance]] = {
    BankCause.IDENTITY_NOT_CONFIRMED: Guidance("银行核验姓名与证件号码不一致。", WayForward.CORRECT_AND_RESUBMIT),
    BankCause.ACCOUNT_LIMIT: Guidance("申请人在该银行的账户数量已达上限。", WayForward.OTHER_PRODUCT_OR_BANK),
    BankCause.RISK: Guidance("银行风险审核未通过。", WayForward.VISIT_BANK),
    BankCause.DOCUMENT_EXPIRED: Guidance("银行登记的证件已过有效期。", WayForward.RENEW_DOCUMENT),
    BankCause.OTHER: Guidance("银行未受理开户，原因未列明。", WayForward.VISIT_BANK),
    RowFault.UNKNOWN_ROW: Guidance("回盘中的该行不在送出的批次内。", WayForward.ROW_AGAIN),
    RowFault.NUMBER_MISMATCH: Guidance("回盘的证件号码与送出的不一致。", WayForward.ROW_AGAIN),
    RowFault.NAME_MISMATCH: Guidance("回盘的姓名与送出的不一致。", WayForward.ROW_AGAIN),
    RowFault.ANSWER_UNCLEAR: Guidance("回盘的处理结果、账号与原因代码相互矛盾或无法识别。", WayForward.ROW_AGAIN),
    RowFault.ACCOUNT_INVALID: Guidance("回盘的银行账号位数或校验位不对。", WayForward.ROW_AGAIN),
    RowFault.ACCOUNT_SHARED: Guidance("银行将同一账号给了两笔申请。", WayForward.ROW_AGAIN),
    RowFault.CONFLICT: Guidance("银行对同一笔申请先后给出了不同的结果。", WayForward.PERSON_DECIDES),
    RowFault.ACCOUNT_DIFFERS: Guidance("回盘的账号不是随空白卡预先受理的账号。", WayForward.ROW_AGAIN),
    ReturnFault.LAYOUT_UNKNOWN: Guidance("该文件不是约定格式的回盘文件。", WayForward.RETURN_AGAIN),
    ReturnFault.HEADER_UNREADABLE: Guidance("回盘文件头无法读取。", WayForward.RETURN_AGAIN),
    ReturnFault.ROW_UNREADABLE: Guidance("回盘中有一行长度或格式不对。", WayForward.RETURN_AGAIN),
    ReturnFault.ROW_TWICE: Guidance("回盘中同一行出现了两次。", WayForward.RETURN_AGAIN),
    ReturnFault.COUNT_DIFFERS: Guidance("回盘的行数与文件头不符。", WayForward.RETURN_AGAIN),
    ReturnFault.ACCEPTED_DIFFERS: Guidance("回盘的受理行数与文件头不符。", WayForward.RETURN_AGAIN),
    ReturnFault.TOTAL_DIFFERS: Guidance("回盘的控制总数与文件头不符。", WayForward.RETURN_AGAIN),
    ReturnFault.BANK_DIFFERS: Guidance("回盘的城市或银行代码与送出的批次不符。", WayForward.RETURN_AGAIN),
    ReturnFault.BATCH_UNKNOWN: Guidance("没有送出过该批次。", WayForward.RETURN_AGAIN),
}
