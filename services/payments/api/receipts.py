"""Answers to operations, as receipts and as errors; and what a clerk can say of a refusal."""

from typing import Final, NoReturn

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1.payments_pb2 import DECISION_APPROVED, DECISION_DECLINED, Receipt
from services.common.errors import Code, DomainError
from services.payments.adapters.directory import unknown_account, unknown_card
from services.payments.domain.operation import Answered, Problem, Ruling
from services.payments.domain.verdict import Reason
from services.payments.handlers.operate import Rejected

MESSAGES: Final = {
    Reason.NONE: "",
    Reason.INSUFFICIENT_FUNDS: "余额不足",
    Reason.HOTLISTED: "此卡已列入黑名单",
    Reason.CARD_SEALED: "此卡尚未启用",
    Reason.CARD_LOCKED: "此卡已锁定，请本人到窗口解锁",
    Reason.CARD_CANCELLED: "此卡已注销",
    Reason.ACCOUNT_FROZEN: "账户已冻结",
    Reason.ACCOUNT_CLOSED: "账户已销户",
    Reason.BAD_TIME: "终端时间有误",
    Reason.TOO_LATE: "交易已超过受理期限",
    Reason.PRICE_NOT_ALLOWED: "此类交易不得带价格",
    Reason.BAD_PRICE: "价格有误",
    Reason.IDENTITY_CONFLICT: "同一交易号已用于另一笔交易",
    Reason.CARD_LOST: "此卡已挂失",
    Reason.OVER_PAYMENT_LIMIT: "超过单笔限额",
    Reason.OVER_DAY_LIMIT: "超过当日限额",
    Reason.OVER_DAY_COUNT: "超过当日交易笔数",
    Reason.OVER_CATEGORY_LIMIT: "超过此类商户的当日限额",
    Reason.VOIDED: "此交易已先行撤销",
    Reason.NOT_HELD: "没有可用的预授权：已完成、已撤销或已过期",
    Reason.EXCEEDS_HOLD: "超过预授权的剩余金额",
    Reason.EXCEEDS_PAID: "超过可退金额",
    Reason.NAME_TAKEN: "账户名称已被使用",
    Reason.ACCOUNT_NOT_EMPTY: "账户仍有余额或预授权，不能销户",
    Reason.ACCOUNT_STATUS_FINAL: "已销户的账户不能恢复",
    Reason.TOKEN_UNKNOWN: "付款码无效或已过期，请刷新后重新出示",
    Reason.TOKEN_SPENT: "付款码已使用过，请刷新后重新出示",
    Reason.ELECTRONIC_CARD_BARRED: "电子社保卡未开通支付功能，或已停用",
    Reason.OVER_PERIOD_COUNT: "已达到本时段允许的次数",
    Reason.OVER_PERIOD_LIMIT: "超过本时段允许的消费金额",
    Reason.SAME_PLACE_TOO_SOON: "刚在此处刷过卡，请稍后再试",
    Reason.PASS_USED_UP: "年票次数已用完",
    Reason.PASS_STILL_VALID: "年票仍在有效期内，无需重复购买",
    Reason.NO_PASS: "未持有有效的年票",
    Reason.OUTSIDE_HOURS: "不在开放时间内",
    Reason.TOO_MANY_RIDERS: "超过一卡允许的人数",
    Reason.TOO_MANY_LOANS: "已达到可借册数",
    Reason.LOAN_OVERDUE: "有逾期未还的图书，归还后方可再借",
    Reason.PURSE_STILL_VALID: "此类专用钱包尚在有效期内，不能重复发放",
    Reason.PURSE_TOO_LONG: "超过此类专用钱包允许的有效期",
    Reason.QUOTA_FULL: "该时段名额已满",
    Reason.NO_RESERVATION: "未预约该时段",
    Reason.ALREADY_RESERVED: "已预约该时段，或预约数已达上限",
    Reason.NOT_YET_RESERVABLE: "该时段尚未开放预约",
    Reason.OVER_GUARDIAN_PAYMENT: "超过监护人设定的单笔限额",
    Reason.OVER_GUARDIAN_DAY: "超过监护人设定的当日限额",
    Reason.OVER_GUARDIAN_COUNT: "超过监护人设定的当日笔数",
    Reason.OVER_GUARDIAN_SCENE: "超过监护人设定的此类商户当日限额",
}


def ruling_of(answer: Answered | Rejected) -> Ruling:
    """The ruling. Raises DomainError when there is none: nothing was stored then, and the request id is free."""
    if isinstance(answer, Rejected):
        raise DomainError(Code.INVALID_ARGUMENT, "VALUE_REJECTED", f"the ledger cannot store this ({answer.sqlstate})")
    if answer.ruling is None:
        _refuse(answer.problem)
    return answer.ruling


def receipt_of(answer: Answered | Rejected) -> Receipt:
    """The receipt of an answer; of a repeat the very same one. Raises DomainError as `ruling_of`."""
    ruling = ruling_of(answer)
    reason = ruling.reason
    payment = ruling.payment
    return Receipt(
        decision=DECISION_DECLINED if reason else DECISION_APPROVED,
        reason=reason,  # type: ignore[arg-type]  # numbers agree, a test holds it
        message=MESSAGES[reason],
        payment_id=payment.hex() if payment else "",
        amount=Money(amount_fen=ruling.amount_fen),
        decide_time_ms=ruling.decide_time_ms,
        batch_number=ruling.batch,
        batch_row=ruling.row,
    )


def _refuse(problem: Problem | None) -> NoReturn:
    match problem:
        case Problem.CONFLICT:
            raise DomainError(Code.ALREADY_EXISTS, "IDENTITY_CONFLICT", MESSAGES[Reason.IDENTITY_CONFLICT])
        case Problem.UNKNOWN_CARD:
            raise unknown_card()
        case Problem.UNKNOWN_PAYMENT:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_PAYMENT", "没有这笔交易")
        case Problem.SWITCH_IN_PROGRESS:
            raise DomainError(Code.UNAVAILABLE, "SWITCH_IN_PROGRESS", "正在换用新卡，请稍后重试")
        case _:
            raise unknown_account()
