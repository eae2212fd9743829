"""Why something was not done: one enum for the whole service, and the sentence a clerk can say for each."""

from enum import IntEnum
from typing import Final


class Refusal(IntEnum):
    """A rule said no. The numbers travel in messages and are stored: never changed, never used again."""

    # The card's state
    NOT_AT_OUTLET = 1
    NOT_COLLECTED = 2
    ALREADY_ENABLED = 3
    ALREADY_ACTIVE = 4
    NOT_ENABLED = 5
    ALREADY_LOST = 6
    NOT_LOST = 7
    FORMAL_LOSS_IS_FINAL = 8
    FORMAL_LOSS_FIRST = 9
    NOT_LOCKED = 10
    LOCKED = 11
    CANCELLED = 12
    SUCCESSOR_IN_PRODUCTION = 14
    NO_FINANCIAL_FUNCTION = 15
    NO_BANK_ACCOUNT = 16
    LONGEST_TERM_REACHED = 17
    STILL_IN_PRODUCTION = 18
    NOT_TEMPORARY = 19
    ALREADY_COLLECTED = 20
    NOT_DUE = 21
    ALREADY_MADE = 22
    # Who asks, and what is shown
    NOT_BY_THIS_PARTY = 30
    IDENTITY_NOT_VERIFIED = 31
    PAPERS_MISSING = 32
    SECOND_PERSON_NEEDED = 33
    NOT_YOUR_RIGHT = 34
    # Money
    FEE_NOT_SETTLED = 40
    BALANCE_NOT_SETTLED = 41
    OLD_CARD_NOT_RETURNED = 42
    # Applications
    LIVE_CARD_EXISTS = 50
    APPLICATION_OPEN = 51
    NO_CARD_TO_REISSUE = 52
    GUARDIAN_NEEDED = 53
    NOT_A_MINOR = 54
    PHOTO_NOT_ACCEPTED = 55
    DOCUMENT_NOT_ACCEPTED = 56
    NAME_NOT_ACCEPTED = 57
    PERSON_DIFFERS = 58
    APPLICATION_ENDED = 59
    APPLICATION_BEYOND_RECALL = 60
    NOT_REFUSED = 61
    PROXY_MAY_NOT = 62
    POSSIBLE_SAME_PERSON = 63
    DOCUMENT_EXPIRED = 64
    ROW_REPEATED = 65
    PHONE_NOT_ACCEPTED = 66
    APPLICATION_AT_BANK = 67
    APPLICATION_REFUSED = 68
    PHOTO_AWAITED = 69
    NOT_AT_THIS_STEP = 70
    REFUSED_BY_BANK = 71
    REFUSED_BY_CLERK = 72
    # A second person's word
    APPROVAL_AWAITED = 80
    APPROVAL_REJECTED = 81
    APPROVAL_EXPIRED = 82
    APPROVAL_DECIDED = 83
    OWN_REQUEST = 84
    OWN_CASE = 85


SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.NOT_AT_OUTLET: "卡片尚未送达网点，请等待到卡通知后再来领取。",
    Refusal.NOT_COLLECTED: "卡片尚未领取，请先办理领卡。",
    Refusal.ALREADY_ENABLED: "该卡社会保障功能已经启用，无需重复办理。",
    Refusal.ALREADY_ACTIVE: "该卡金融功能已经激活，无需重复办理。",
    Refusal.NOT_ENABLED: "该卡社会保障功能尚未启用，请先办理启用。",
    Refusal.ALREADY_LOST: "该卡已经挂失，无需重复办理。",
    Refusal.NOT_LOST: "该卡没有临时挂失，无需解挂。",
    Refusal.FORMAL_LOSS_IS_FINAL: "该卡已正式挂失，不能解挂，请办理补卡。",
    Refusal.FORMAL_LOSS_FIRST: "请先办理正式挂失，再办理补卡。",
    Refusal.NOT_LOCKED: "该卡没有锁定，无需解锁。",
    Refusal.LOCKED: "该卡因密码连续输错已锁定，请持卡人本人持有效证件办理解锁。",
    Refusal.CANCELLED: "该卡已经注销，不能再办理业务。",
    Refusal.SUCCESSOR_IN_PRODUCTION: "新卡正在制作中，请等待新卡，或先撤销补换卡申请。",
    Refusal.NO_FINANCIAL_FUNCTION: "临时卡没有金融功能。",
    Refusal.NO_BANK_ACCOUNT: "银行尚未为该卡开户，暂不能激活金融功能。",
    Refusal.LONGEST_TERM_REACHED: "临时卡已达到最长有效期，不能再延期。",
    Refusal.STILL_IN_PRODUCTION: "卡片还在制作中，暂不能办理此业务；如需取消，请撤销申请。",
    Refusal.NOT_TEMPORARY: "该卡不是临时卡。",
    Refusal.ALREADY_COLLECTED: "该卡已经领取，无需重复办理。",
    Refusal.NOT_DUE: "尚未到期。",
    Refusal.ALREADY_MADE: "该卡已经制作完成。",
    Refusal.NOT_BY_THIS_PARTY: "此业务不能由该经办人办理。",
    Refusal.IDENTITY_NOT_VERIFIED: "尚未核验身份，请出示有效身份证件。",
    Refusal.PAPERS_MISSING: "缺少委托或监护关系证明材料，请补齐后再办理。",
    Refusal.SECOND_PERSON_NEEDED: "此业务需要另一位工作人员复核批准。",
    Refusal.NOT_YOUR_RIGHT: "您的岗位没有办理此业务的权限。",
    Refusal.FEE_NOT_SETTLED: "工本费尚未缴纳，请先缴费。",
    Refusal.BALANCE_NOT_SETTLED: "账户尚有余额未结清，请先办理退款。",
    Refusal.OLD_CARD_NOT_RETURNED: "换卡需交回旧卡；旧卡遗失的请先办理正式挂失。",
    Refusal.LIVE_CARD_EXISTS: "该持卡人已有一张有效的社会保障卡，不能重复申领。",
    Refusal.APPLICATION_OPEN: "该持卡人已有一笔正在办理的申请，请以该申请为准。",
    Refusal.NO_CARD_TO_REISSUE: "没有可以补换的卡片，请办理首次申领。",
    Refusal.GUARDIAN_NEEDED: "申请人未满规定年龄，须由监护人办理。",
    Refusal.NOT_A_MINOR: "申请人已达到规定年龄，请由本人或代办人办理。",
    Refusal.PHOTO_NOT_ACCEPTED: "照片不符合要求，请按提示重新提供。",
    Refusal.DOCUMENT_NOT_ACCEPTED: "证件号码有误，请核对证件后重新录入。",
    Refusal.NAME_NOT_ACCEPTED: "姓名中有不能接受的字符，请核对证件后重新录入。",
    Refusal.PERSON_DIFFERS: "所填姓名或出生日期与已登记的信息不一致，请核对证件；如登记有误，请办理信息更正。",
    Refusal.APPLICATION_ENDED: "该申请已经办结，不能再办理。",
    Refusal.APPLICATION_BEYOND_RECALL: "卡片已开始制作，不能撤销申请。",
    Refusal.NOT_REFUSED: "该申请没有被退回，无需重新提交。",
    Refusal.PROXY_MAY_NOT: "此业务须持卡人本人办理，不能代办。",
    Refusal.POSSIBLE_SAME_PERSON: "库中有同名且同出生日期的人员，请先核对是否为同一人。",
    Refusal.DOCUMENT_EXPIRED: "证件已过有效期，请出示有效证件。",
    Refusal.ROW_REPEATED: "同一人在本批次中重复出现，以第一行为准。",
    Refusal.PHONE_NOT_ACCEPTED: "手机号码有误，请核对后重新录入。",
    Refusal.APPLICATION_AT_BANK: "申请已送银行审核，请等待银行结果。",
    Refusal.APPLICATION_REFUSED: "该申请已被退回，请补正后重新提交。",
    Refusal.PHOTO_AWAITED: "该申请尚缺照片，请先补交照片。",
    Refusal.NOT_AT_THIS_STEP: "该申请尚未到这一步，请按流程办理。",
    Refusal.REFUSED_BY_BANK: "银行未受理开户，请按退回原因补正后重新提交。",
    Refusal.REFUSED_BY_CLERK: "申请材料不符合要求，请按退回原因补正后重新提交。",
    Refusal.APPROVAL_AWAITED: "正在等待另一位工作人员复核。",
    Refusal.APPROVAL_REJECTED: "复核未通过，不能办理。",
    Refusal.APPROVAL_EXPIRED: "复核已随班次结束而失效，请重新申请复核。",
    Refusal.APPROVAL_DECIDED: "该申请已经复核过。",
    Refusal.OWN_REQUEST: "不能复核自己提出的申请。",
    Refusal.OWN_CASE: "不能复核自己经办的业务。",
}


def sentence(refusal: Refusal) -> str:
    """What a clerk can say to the person in front of them."""
    return SENTENCES[refusal]
