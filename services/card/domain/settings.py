"""What differs from city to city, section by section as in the file of settings; the file says what each one means."""

from dataclasses import dataclass
from typing import Final, Literal

from services.card.domain.life_cycle import LifeRules
from services.card.domain.notification import SendingRules, Texts
from services.card.domain.photo import PhotoRules
from services.card.domain.terminal import TerminalRules

_LEAST_AUDIT_DAYS: Final = 184
"""Six months: Cybersecurity Law Art. 21."""


@dataclass(frozen=True, slots=True)
class City:
    """Which city."""

    name: str
    code: str
    """GB/T 2260, six digits."""


@dataclass(frozen=True, slots=True)
class ApplicationRules:
    """What an application must observe, and how long it may take."""

    working_days: int
    instant_minutes: int
    resubmit_days: int
    lying_days: int
    guardian_below_years: int
    consent_below_years: int
    foreign_number: Literal["none", "document"]
    bulk_rows: int


@dataclass(frozen=True, slots=True)
class CardRules:
    """Of every card."""

    years: int
    renewal_days: int
    wrong_pins: int


@dataclass(frozen=True, slots=True)
class Fees:
    """What making a card costs its holder, in fen."""

    first_fen: int
    reissue_fen: int
    replace_fen: int


@dataclass(frozen=True, slots=True)
class RemainderRules:
    """What is paid out after a cancellation."""

    watch_days: int
    """So long late money of a cancelled card is looked for."""


@dataclass(frozen=True, slots=True)
class BankRules:
    """How the bank's account comes to a card."""

    code: str
    rendering: Literal["fixed", "pipe"]
    late_hours: int
    instant: Literal["preaccepted", "online", "later"]
    online_seconds: int


@dataclass(frozen=True, slots=True)
class PrintingRules:
    """Of the printers at the windows."""

    charset: Literal["gbk", "gb18030"]


@dataclass(frozen=True, slots=True)
class StaffRules:
    """Of people of the staff and the hotline."""

    shift_hours: int
    wrong_passwords: int
    hotline_views_per_hour: int
    name_searches_per_hour: int


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Of holders who act by themselves, at a kiosk or online."""

    minutes: int


@dataclass(frozen=True, slots=True)
class ElectronicRules:
    """Of the electronic card."""

    token_seconds: int
    wrong_passwords: int


@dataclass(frozen=True, slots=True)
class HotlistRules:
    """How often the whole hotlist is published beside what changes on it, and may be asked for."""

    snapshot_versions: int
    snapshot_hours: int
    pulls_per_minute: int
    """Of one certificate's subject, at one process."""

    def __post_init__(self) -> None:
        if min(self.snapshot_versions, self.snapshot_hours, self.pulls_per_minute) < 1:
            raise ValueError("snapshot_versions, snapshot_hours, pulls_per_minute: 1 at least")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept."""

    request_days: int
    in_vain_days: int
    past_days: int
    audit_days: int

    def __post_init__(self) -> None:
        if self.audit_days < _LEAST_AUDIT_DAYS:
            raise ValueError(f"audit_days: logs are kept for {_LEAST_AUDIT_DAYS} days at least")


@dataclass(frozen=True, slots=True)
class CitySettings:
    """All of it."""

    city: City
    application: ApplicationRules
    photo: PhotoRules
    life: LifeRules
    card: CardRules
    fee: Fees
    remainder: RemainderRules
    bank: BankRules
    printing: PrintingRules
    staff: StaffRules
    terminal: TerminalRules
    session: SessionRules
    electronic: ElectronicRules
    hotlist: HotlistRules
    notification: SendingRules
    message: Texts
    retention: Retention
