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
    CARD_BEING_TAKEN = "CARD_BEING_TAKEN"
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
    # A supplier's delivery
    DELIVERY_NOT_ACCEPTED = "DELIVERY_NOT_ACCEPTED"
    # A second person's word
    SECOND_PERSON_NEEDED = "SECOND_PERSON_NEEDED"
    COUNTERSIGNATURE_AWAITED = "COUNTERSIGNATURE_AWAITED"
    COUNTERSIGNATURE_REJECTED = "COUNTERSIGNATURE_REJECTED"
    COUNTERSIGNATURE_EXPIRED = "COUNTERSIGNATURE_EXPIRED"
    COUNTERSIGNATURE_DECIDED = "COUNTERSIGNATURE_DECIDED"
    OWN_REQUEST = "OWN_REQUEST"
    NOT_YOUR_RIGHT = "NOT_YOUR_RIGHT"
    # The end of a shift
    COUNT_AGAIN = "COUNT_AGAIN"
    BLANKS_DIFFER = "BLANKS_DIFFER"
    CASH_REASON_NEEDED = "CASH_REASON_NEEDED"
    COUNT_REASON_NEEDED = "COUNT_REASON_NEEDED"
    """It agrees now, and an earlier count of the shift said something else, which did not."""
    SHIFT_CLOSED = "SHIFT_CLOSED"
    # A card's making
    APPLICATION_NEEDED = "APPLICATION_NEEDED"
    APPLICATION_HAS_BLANK = "APPLICATION_HAS_BLANK"
    """Another blank is held for it."""
    NUMBER_NOT_RETIRED = "NUMBER_NOT_RETIRED"
    """The one before was spoiled, and the card service does not know it yet."""
    SERIAL_DIFFERS = "SERIAL_DIFFERS"
    PRODUCT_DIFFERS = "PRODUCT_DIFFERS"
    PRINTER_NOT_READY = "PRINTER_NOT_READY"
    NOT_PRINTED = "NOT_PRINTED"
    PRINT_SPOILED = "PRINT_SPOILED"
    CARD_SERVICE_AWAY = "CARD_SERVICE_AWAY"
    NUMBER_USED = "NUMBER_USED"
    """Nothing was written, but the registry has used its identifier."""
    CARD_CANCELLED = "CARD_CANCELLED"
    APPLICANT_LEFT = "APPLICANT_LEFT"
    CARD_BROKEN = "CARD_BROKEN"
    CLERK_STOPPED = "CLERK_STOPPED"
    COMPLETE_AT_WINDOW = "COMPLETE_AT_WINDOW"
    """The holder has it, and the card service did not take what was said of them."""
    ORDER_DIFFERS = "ORDER_DIFFERS"
    """The registry makes this card with another identifier."""
    # A card that was issued
    CARD_UNKNOWN = "CARD_UNKNOWN"
    CARD_NOT_GOOD = "CARD_NOT_GOOD"
    CHECKED_TOO_OFTEN = "CHECKED_TOO_OFTEN"
    IDENTITY_NOT_VERIFIED = "IDENTITY_NOT_VERIFIED"
    # A chip: reader and terminal
    CARD_GONE = "CARD_GONE"
    CARD_SILENT = "CARD_SILENT"
    READER_TROUBLE = "READER_TROUBLE"
    ANSWERS_MISSING = "ANSWERS_MISSING"
    """The terminal stopped where nothing let it stop, or answered more than it was asked."""
    # A chip: which card it is
    PRODUCT_UNKNOWN = "PRODUCT_UNKNOWN"
    NOT_A_SOCIAL_SECURITY_CARD = "NOT_A_SOCIAL_SECURITY_CARD"
    FOREIGN_CARD = "FOREIGN_CARD"
    IDENTIFIER_UNREADABLE = "IDENTIFIER_UNREADABLE"
    CARD_NOT_GENUINE = "CARD_NOT_GENUINE"
    # A chip: keys
    KEY_REFUSED = "KEY_REFUSED"
    KEY_LOCKED = "KEY_LOCKED"
    KEY_TRIES_USED = "KEY_TRIES_USED"
    """Another try could lock the card."""
    KEY_LOAD_REFUSED = "KEY_LOAD_REFUSED"
    KEYS_NOT_GIVEN = "KEYS_NOT_GIVEN"
    CHALLENGE_MALFORMED = "CHALLENGE_MALFORMED"
    CHALLENGE_REPEATED = "CHALLENGE_REPEATED"
    # A chip: records
    ANSWER_TOO_LONG = "ANSWER_TOO_LONG"
    STATUS_UNEXPECTED = "STATUS_UNEXPECTED"
    SECURITY_LOST = "SECURITY_LOST"
    """The card was reset between two commands, and has forgotten who authenticated."""
    FACTORY_DATA_DIFFER = "FACTORY_DATA_DIFFER"
    READING_REFUSED = "READING_REFUSED"
    WRITING_REFUSED = "WRITING_REFUSED"
    READ_BACK_DIFFERS = "READ_BACK_DIFFERS"
    # A chip: what is to be written
    VALUE_NOT_CARRIED = "VALUE_NOT_CARRIED"
    """A character that the chip's character set lacks."""
    VALUE_TOO_LONG = "VALUE_TOO_LONG"
    VALUE_MALFORMED = "VALUE_MALFORMED"
    # A chip: PINs
    PIN_MALFORMED = "PIN_MALFORMED"
    PIN_NOT_CHANGED = "PIN_NOT_CHANGED"
    NO_PIN_ON_CARD = "NO_PIN_ON_CARD"


SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.BLANK_AT_DEPOT: "该空白卡尚未领用到窗口，请联系空白卡管理员办理领用。",
    Refusal.BLANK_NOT_BEGUN: "该空白卡尚未开始制卡，请核对卡片序列号。",
    Refusal.BLANK_IN_USE: "该卡正在制作中，请先在制卡界面完成或终止制卡；芯片不再应答的，请登记废卡。",
    Refusal.BLANK_PRINTED: "该卡已制作完成、等待交付，请先办理交付；已损坏或无人领取的，请登记废卡。",
    Refusal.CARD_BEING_TAKEN: "该卡正在交付持卡人，请稍候，待交付结果返回后再办理。",
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
    Refusal.DELIVERY_NOT_ACCEPTED: "供应商交付文件有误，整箱未入库；请将所列各行退供应商更正。",
    Refusal.SECOND_PERSON_NEEDED: "此业务需要另一位工作人员复核签字，签字后请原样重新提交。",
    Refusal.COUNTERSIGNATURE_AWAITED: "正在等待另一位工作人员复核签字，签字后请原样重新提交。",
    Refusal.COUNTERSIGNATURE_REJECTED: "复核未通过，不能办理；如有异议请联系主管。",
    Refusal.COUNTERSIGNATURE_EXPIRED: "复核已随班次结束而失效，请经办人重新提交。",
    Refusal.COUNTERSIGNATURE_DECIDED: "该申请已经复核过，无需重复办理。",
    Refusal.OWN_REQUEST: "不能复核自己提出的申请，请由另一位工作人员复核。",
    Refusal.NOT_YOUR_RIGHT: "您的岗位没有办理此业务的权限，请联系主管。",
    Refusal.COUNT_AGAIN: "清点之后又有业务发生，请重新清点。",
    Refusal.BLANKS_DIFFER: "空白卡数量与账面不符，请重新清点；确有差异的，先办理遗失、找回或废卡登记。",
    Refusal.CASH_REASON_NEEDED: "现金与账面不符，请重新清点；确有长款或短款的，请写明原因。",
    Refusal.COUNT_REASON_NEEDED: "本班次看到账面后改过清点数；现已相符，仍须写明先前差异的原因，并由另一位工作人员复核签字。",
    Refusal.SHIFT_CLOSED: "本班次已经结账，请从新班次开始清点。",
    Refusal.APPLICATION_NEEDED: "请先选定要制卡的申请，再放入空白卡。",
    Refusal.APPLICATION_HAS_BLANK: "该申请已有一张卡在制作，请放入原来的那张卡继续；原卡已损坏的，请先登记废卡。",
    Refusal.NUMBER_NOT_RETIRED: "前一张废卡的卡号尚未注销，请稍候片刻，再放入新的空白卡。",
    Refusal.SERIAL_DIFFERS: "卡面序列号与芯片不符，请核对卡片；确属不符的交空白卡管理员。",
    Refusal.PRODUCT_DIFFERS: "芯片与登记的卡片品种不符，请换一张空白卡，此卡交空白卡管理员。",
    Refusal.PRINTER_NOT_READY: "打印机未就绪，请检查色带、卡盒和连线后再试。",
    Refusal.NOT_PRINTED: "打印机没有开始打印，请检查打印机后重新放入同一张卡，系统将继续打印。",
    Refusal.PRINT_SPOILED: "卡面打印损坏，此卡已作废，请换一张空白卡重新制卡。",
    Refusal.CARD_SERVICE_AWAY: "社保卡系统暂时没有应答，请稍后放入同一张卡再试。",
    Refusal.CARD_CANCELLED: "该卡在网点待领期间已被注销，实物请按废卡处理。",
    Refusal.NUMBER_USED: "该空白卡的识别码已登记使用，此卡已作废，请换一张空白卡。",
    Refusal.APPLICANT_LEFT: "申请人已离开，本次制卡已停止。",
    Refusal.CARD_BROKEN: "卡片已损坏，本次制卡已停止，请换一张空白卡。",
    Refusal.CLERK_STOPPED: "经办人已停止本次制卡。",
    Refusal.COMPLETE_AT_WINDOW: "卡片已交付但尚未启用，请核实领卡人身份后在窗口办理领卡和启用。",
    Refusal.ORDER_DIFFERS: "该申请登记的不是这张卡，请放入原来的卡片，或联系系统管理员。",
    Refusal.CARD_UNKNOWN: "登记系统中没有这张卡，请核对卡片；来历不明的卡片请收存并报告主管。",
    Refusal.CHECKED_TOO_OFTEN: "该卡一天内核验次数过多，受保护的记录明天才能再核对；如有疑问，请报告主管。",
    Refusal.CARD_NOT_GOOD: "该卡当前状态不能办理此项业务，请先在窗口查询卡片状态。",
    Refusal.IDENTITY_NOT_VERIFIED: "须由持卡人或其监护人本人到场，并核验身份证件后办理。",
    Refusal.CARD_GONE: "卡片已离开读卡器或断电，请重新插入同一张卡，系统将从中断处继续。",
    Refusal.CARD_SILENT: "卡片在规定时间内没有应答，请取出后擦净芯片，重新插入同一张卡再试。",
    Refusal.READER_TROUBLE: "读卡器故障，请检查连线后重新插入同一张卡；仍不行请换一台读卡器或窗口。",
    Refusal.ANSWERS_MISSING: "读卡终端返回的应答不完整，请重新插入同一张卡再试；再次出现请更换终端并报修。",
    Refusal.PRODUCT_UNKNOWN: "系统不认识这种卡片，请确认放入的是本市发行的社会保障卡空白卡。",
    Refusal.NOT_A_SOCIAL_SECURITY_CARD: "这张卡上没有社会保障应用，请取出并放入社会保障卡空白卡。",
    Refusal.FOREIGN_CARD: "读卡器中不是本次制作的那张卡，请放回原来的卡片再继续。",
    Refusal.IDENTIFIER_UNREADABLE: "读不出卡识别码，请重新插卡再试；仍读不出请登记废卡，换一张空白卡。",
    Refusal.CARD_NOT_GENUINE: "卡片未能证明其真实性，请立即停用此卡并交空白卡管理员，换一张空白卡。",
    Refusal.KEY_REFUSED: "卡片不接受本市密钥，请将此卡作废登记并交空白卡管理员，换一张空白卡。",
    Refusal.KEY_LOCKED: "卡片密钥已锁定，无法继续写卡，请将此卡作废登记，换一张空白卡。",
    Refusal.KEY_TRIES_USED: "卡片密钥剩余尝试次数过少，为避免锁卡已停止，请将此卡作废登记，换一张空白卡。",
    Refusal.KEY_LOAD_REFUSED: "卡片拒绝更换密钥，请将此卡作废登记，换一张空白卡。",
    Refusal.KEYS_NOT_GIVEN: "加密机未对此卡授权，请稍后重新插入同一张卡；再次出现请联系系统管理员。",
    Refusal.CHALLENGE_MALFORMED: "卡片返回的随机数长度不对，请将此卡作废登记，换一张空白卡。",
    Refusal.CHALLENGE_REPEATED: "卡片返回了用过的随机数，可能是伪造的卡片或终端，请停止使用并报告主管。",
    Refusal.ANSWER_TOO_LONG: "卡片返回的数据比要求的长，请将此卡作废登记，换一张空白卡。",
    Refusal.STATUS_UNEXPECTED: "卡片返回了意外的状态，请将此卡作废登记，换一张空白卡。",
    Refusal.SECURITY_LOST: "卡片在操作中被复位，请重新插入同一张卡，系统将从中断处继续。",
    Refusal.FACTORY_DATA_DIFFER: "卡片出厂数据与本市卡型不符，请将此卡作废登记并交空白卡管理员，换一张空白卡。",
    Refusal.READING_REFUSED: "卡片不允许读取应当可读的数据，请将此卡作废登记，换一张空白卡。",
    Refusal.WRITING_REFUSED: "卡片拒绝写入，请将此卡作废登记，换一张空白卡。",
    Refusal.READ_BACK_DIFFERS: "写入后读出的数据不一致，请将此卡作废登记，换一张空白卡。",
    Refusal.VALUE_NOT_CARRIED: "登记资料中有芯片字符集以外的字，无法写卡，请转后台处理。",
    Refusal.VALUE_TOO_LONG: "登记资料过长，芯片无法完整写入，请转后台处理。",
    Refusal.VALUE_MALFORMED: "登记资料缺失或格式不对，无法写卡，请先更正登记资料。",
    Refusal.PIN_MALFORMED: "密码须为六位数字，请持卡人重新输入。",
    Refusal.PIN_NOT_CHANGED: "卡片没有接受新密码，请重新插入卡片再试；再次失败请办理换卡。",
    Refusal.NO_PIN_ON_CARD: "这种卡片上没有可重置的密码，请直接办理联机密码重置。",
}


def sentence(refusal: Refusal) -> str:
    """What a clerk can say to the person in front of them."""
    return SENTENCES[refusal]
