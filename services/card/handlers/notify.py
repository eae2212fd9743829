"""Tell people what has happened: each message under an id that follows from its number, so that the gateway sends it once.

Run by the elected process. Whoever ends between sending and marking sends again, under the same id.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.card import metrics
from services.card.adapters.notifications import (
    Attempt,
    DueNotification,
    count_waiting,
    due_notifications,
    mark_attempts,
)
from services.card.adapters.people import Holder, read_holders
from services.card.adapters.sealing import Sealing
from services.card.adapters.sms_gateway import NotTaken, SmsGateway
from services.card.domain.bank_cause import BANK_CAUSES, GUIDANCE, BankCause
from services.card.domain.notification import OF_APPLICATIONS, Outcome, next_try_ms
from services.card.domain.person import Field
from services.card.domain.refusal import Refusal, sentence
from services.card.domain.settings import CitySettings
from services.common.clock import now_ms
from services.common.database import driver_of

_MOST: Final = 100
"""In one round, side by side."""


class Notify:
    """A duty; `now` is the clock, for tests that do not want to wait a day."""

    def __init__(self, sealing: Sealing, settings: CitySettings, gateway: SmsGateway, now: Callable[[], int] = now_ms) -> None:
        self._sealing = sealing
        self._settings = settings
        self._gateway = gateway
        self._now = now

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to send."""
        driver = await driver_of(connection)
        due = await due_notifications(driver, self._now(), _MOST)
        holders = await read_holders(driver, self._sealing, {one.holder for one in due})
        attempts = await asyncio.gather(*(self._tell(one, holders.get(one.holder)) for one in due))
        if attempts:
            await mark_attempts(driver, attempts, self._now())
        for one, attempt in zip(due, attempts, strict=True):
            metrics.NOTIFICATIONS.labels(one.kind.name, attempt.outcome.name).inc()
        metrics.NOTIFICATIONS_WAITING.set(await count_waiting(driver))
        return len(due) < _MOST

    async def _tell(self, due: DueNotification, holder: Holder | None) -> Attempt:
        if holder is None or not holder.sealed.phone:
            return Attempt(due.id, Outcome.NO_PHONE)
        request_id = f"{self._settings.city.code}-{due.epoch}-{due.id}"
        phone = holder.cipher.open(Field.PHONE, holder.sealed.phone).decode()
        try:
            await self._gateway.send(request_id, phone, self._text(due, holder))
        except NotTaken as refused:
            again = (
                None
                if refused.for_good
                else next_try_ms(self._settings.notification, due.attempts, due.create_time_ms, self._now())
            )
            return Attempt(due.id, Outcome.GIVEN_UP if again is None else Outcome.AGAIN, again)
        return Attempt(due.id, Outcome.SENT)

    def _text(self, due: DueNotification, holder: Holder) -> str:
        number = holder.cipher.open(Field.CARD_NUMBER, due.sealed_number).decode() if due.sealed_number else ""
        day = due.last_day if due.kind in OF_APPLICATIONS else due.valid_until
        facts = {
            "application": str(due.subject),
            "outlet": due.outlet,
            "day": f"{day:%Y年%m月%d日}" if day else "",
            "cause": _said(due.cause) if due.cause else "",
            "card": number[-4:],
        }
        return self._settings.message.text(due.kind, facts)


def _said(cause: int) -> str:
    """Of the bank, or of a rule of ours."""
    return GUIDANCE[BankCause(cause)].sentence if cause in BANK_CAUSES else sentence(Refusal(cause))
