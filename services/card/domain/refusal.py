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
    CARD_IDENTIFIER_USED = 23
    CARD_IDENTIFIER_OF_ANOTHER_CITY = 24
    ANOTHER_CARD_BEGUN = 25
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
    REPRESENTATIVE_IS_APPLICANT = 150
    NAME_NOT_CARRIED = 73
    CORRECTION_NEEDED = 74
    # A second person's word
    APPROVAL_AWAITED = 80
    APPROVAL_REJECTED = 81
    APPROVAL_EXPIRED = 82
    APPROVAL_DECIDED = 83
    OWN_REQUEST = 84
    OWN_CASE = 85
    # People of the staff, and terminals
    OWN_ACCOUNT = 90
    ALREADY_SUSPENDED = 91
    NOT_SUSPENDED = 92
    STAFF_LEFT = 93
    TERMINAL_DECIDED = 94
    KEY_USED = 95
    # PINs, and what holders do by themselves; 100 to 399 are causes of the bank
    PIN_WRONG = 1000
    PIN_TOO_WEAK = 1001
    PIN_TRIES_USED = 1002
    PIN_IN_PERSON = 1003
    CARD_IS_LOST = 1004
    KIOSK_FOR_ONESELF = 1005
    # Personal data
    CONSENT_NEEDED = 1040
    GUARDIANS_CONSENT_NEEDED = 1041
    NO_CONSENT_TO_WITHDRAW = 1042
    LIVE_CARD_FIRST = 1043
    APPLICATION_FIRST = 1044
    NUMBER_TAKEN = 1045
    NOTHING_TO_CORRECT = 1046
    # The electronic card
    ELECTRONIC_CARD_EXISTS = 1110
    NO_ELECTRONIC_CARD = 1111
    ELECTRONIC_LOCKED = 1112
    ELECTRONIC_LEVEL_REACHED = 1113
    ELECTRONIC_LEVEL_TOO_LOW = 1114
    ACCOUNT_NOT_ACTIVE = 1115
    PASSWORD_WRONG = 1116
    PASSWORD_TOO_WEAK = 1117
    NOT_FOR_TEMPORARY_CARDS = 1118
    # What forms say
    REPRESENTATIVE_NOT_OF_AGE = 1120
    # The life of a card, once more
    NO_SUCCESSOR_OF_TEMPORARY_CARDS = 1140
    # Money at the counter
    NO_PURSE_YET = 1170
    NOTHING_TO_HAND_OUT = 1171
    # What a guardian decides
    HOLDER_OF_AGE = 1180


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
    Refusal.SUCCESSOR_IN_PRODUCTION: "持卡人另有卡片正在制作，请待制作完成后再办理注销，届时一并注销。",
    Refusal.NO_FINANCIAL_FUNCTION: "临时卡没有金融功能。",
    Refusal.NO_BANK_ACCOUNT: "银行尚未为该卡开户，暂不能激活金融功能。",
    Refusal.LONGEST_TERM_REACHED: "临时卡已达到最长有效期，不能再延期。",
    Refusal.STILL_IN_PRODUCTION: "卡片还在制作中，暂不能办理此业务；不再需要的，请待制作完成后办理注销。",
    Refusal.NOT_TEMPORARY: "该卡不是临时卡。",
    Refusal.ALREADY_COLLECTED: "该卡已经领取，无需重复办理。",
    Refusal.NOT_DUE: "尚未到期。",
    Refusal.ALREADY_MADE: "该卡已经制作完成。",
    Refusal.CARD_IDENTIFIER_USED: "该空白卡的卡识别码已经使用过，不能再次制卡，请更换空白卡，并将此卡交卡管员处理。",
    Refusal.CARD_IDENTIFIER_OF_ANOTHER_CITY: "该空白卡不属于本市，请更换空白卡，并将此卡交卡管员处理。",
    Refusal.ANOTHER_CARD_BEGUN: "该申请现在办理的是另一张卡，这张卡已与它无关。",
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
    Refusal.APPLICATION_BEYOND_RECALL: "卡片已开始制作，不能撤销申请；不再需要的，请待制作完成后办理注销。",
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
    Refusal.CORRECTION_NEEDED: "申请人已有社保卡，姓名或证件信息有误的，请先办理身份信息更正（需复核），再重新提交。",
    Refusal.NAME_NOT_CARRIED: "姓名中有芯片或打印机无法写入的字符，已登记；请转后台处理，不得以其他字符代替。",
    Refusal.REFUSED_BY_BANK: "银行未受理开户，请按退回原因补正后重新提交。",
    Refusal.REFUSED_BY_CLERK: "申请材料不符合要求，请按退回原因补正后重新提交。",
    Refusal.REPRESENTATIVE_IS_APPLICANT: "监护人或代办人不能是申请人本人，请核对双方证件。",
    Refusal.APPROVAL_AWAITED: "正在等待另一位工作人员复核。",
    Refusal.APPROVAL_REJECTED: "复核未通过，不能办理。",
    Refusal.APPROVAL_EXPIRED: "复核已随班次结束而失效，请重新申请复核。",
    Refusal.APPROVAL_DECIDED: "该申请已经复核过。",
    Refusal.OWN_REQUEST: "不能复核自己提出的申请。",
    Refusal.OWN_CASE: "不能复核自己经办的业务。",
    Refusal.OWN_ACCOUNT: "不能变更自己的账号，请由另一位安全管理员办理。",
    Refusal.ALREADY_SUSPENDED: "该账号已经停用，无需重复办理。",
    Refusal.NOT_SUSPENDED: "该账号没有停用，无需恢复。",
    Refusal.STAFF_LEFT: "该人员已离岗，账号不能再变更。",
    Refusal.TERMINAL_DECIDED: "该终端申请已经处理过。",
    Refusal.KEY_USED: "该密钥已经用过，请在终端重新生成密钥后再申请。",
    Refusal.PIN_WRONG: "卡号或密码有误，请核对后重新输入。",
    Refusal.PIN_TOO_WEAK: "密码须为 6 位数字，不能过于简单，也不能取自出生日期、证件号码、卡号或手机号码。",
    Refusal.PIN_TRIES_USED: "密码连续输错次数已达上限，请持卡人本人持有效证件到窗口重设密码。",
    Refusal.PIN_IN_PERSON: "密码须由持卡人本人或监护人当面设置。",
    Refusal.CARD_IS_LOST: "该卡已挂失，不能用它办理业务。",
    Refusal.KIOSK_FOR_ONESELF: "自助办理只能为本人申领，请核对身份信息。",
    Refusal.CONSENT_NEEDED: "办理此业务需要单独同意，请先签署同意书。",
    Refusal.GUARDIANS_CONSENT_NEEDED: "未满规定年龄的，须由监护人签署同意书。",
    Refusal.NO_CONSENT_TO_WITHDRAW: "此前没有给出该项同意，无需撤回。",
    Refusal.LIVE_CARD_FIRST: "持卡人尚有未注销的卡片，请先办理注销。",
    Refusal.APPLICATION_FIRST: "持卡人尚有未办结的申请，请先办结或撤销。",
    Refusal.NUMBER_TAKEN: "该证件号码已登记在另一人名下，请先核对是否为同一人。",
    Refusal.NOTHING_TO_CORRECT: "更正后的信息与登记信息一致，无需更正。",
    Refusal.ELECTRONIC_CARD_EXISTS: "该持卡人的电子社保卡已经签发，无需重复办理。",
    Refusal.NO_ELECTRONIC_CARD: "该持卡人没有电子社保卡，请先办理签发。",
    Refusal.ELECTRONIC_LOCKED: "电子社保卡因密码连续输错已锁定，请持卡人本人持有效证件重置密码。",
    Refusal.ELECTRONIC_LEVEL_REACHED: "电子社保卡已开通支付功能，无需重复办理。",
    Refusal.ELECTRONIC_LEVEL_TOO_LOW: "电子社保卡尚未开通支付功能，请先到窗口开通。",
    Refusal.ACCOUNT_NOT_ACTIVE: "社保卡金融功能尚未激活，请先激活后再办理。",
    Refusal.PASSWORD_WRONG: "电子社保卡密码有误，请重新输入。",
    Refusal.PASSWORD_TOO_WEAK: "密码过于简单，或与证件号码、出生日期、手机号码有关，请换一个六位数字密码。",
    Refusal.NOT_FOR_TEMPORARY_CARDS: "临时卡不能签发电子社保卡。",
    Refusal.REPRESENTATIVE_NOT_OF_AGE: "监护人或代办人须年满 18 周岁，请由成年人办理。",
    Refusal.NO_SUCCESSOR_OF_TEMPORARY_CARDS: "临时卡不能补换，请先办理注销，再重新申领临时卡。",
    Refusal.NO_PURSE_YET: "申请人还没有社保卡账户，工本费不能从账户支付，请选择现金或银行支付。",
    Refusal.NOTHING_TO_HAND_OUT: "没有待发放的现金。",
    Refusal.HOLDER_OF_AGE: "持卡人已年满 18 周岁，监护人不能再设定消费限额。",
}


def sentence(refusal: Refusal) -> str:
    """What a clerk can say to the person in front of them."""
    return SENTENCES[refusal]
