"""A counter: the registry's fees and remainders with a real payments API before the same database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from cli.authority import Authority
from cli.servers.ports import HOST, free_port
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.domain.actor import Actor
from services.card.domain.application import ApplicationKind
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.domain.remainder import PayTo
from services.card.handlers.change_card import Change, Changed, change_card
from services.card.handlers.hand_out import HandedOut, hand_out
from services.card.handlers.once import transact
from services.card.handlers.settle_money import SettleMoney, cash_of
from services.common.database import make_engine
from services.common.grpc.listen import Listen, Tls, split
from services.payments.config import Config
from services.payments.domain.account import AccountStatus
from services.payments.handlers.callers import grant
from services.payments.handlers.open_accounts import Opening, open_accounts
from services.payments.serve import serve
from tests.support.api import NOBODY
from tests.support.cardholders import CLERK, WANTED, Registry, submission
from tests.support.edge import SERVICE
from tests.support.hall import OTHER, Owner
from tests.support.terminal_keys import vault_settings
from tests.support.town import KEY, Database, now_ms
from tests.support.waiting import until

CASH, OTHER_CASH = cash_of(CLERK.terminal), cash_of(OTHER)
LEFT = "card-remainders-held"
AT_OTHER = replace(CLERK, terminal=OTHER)
_numbers = count(1)


class CutOffError(Exception):
    """The process dies here."""


class Counter:
    """The registry's money, before real payments."""

    def __init__(self, registry: Registry, database: Database, owner: Owner, desk: PaymentsDesk) -> None:
        self.registry = registry
        self.database = database
        self.owner = owner
        self.desk = desk
        self.money = SettleMoney(registry.engine, desk)

    async def settle(self, money: SettleMoney | None = None) -> None:
        """One round of the duty."""
        async with self.registry.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await (money or self.money)(connection)

    async def balance(self, account: str | int) -> int:
        """Credits minus debits; 0 for an account that was never opened."""
        by = "name" if isinstance(account, str) else "id"
        found = await self.owner.fetchval(
            f"select credits_posted_fen - debits_posted_fen from payments.account where {by} = $1", account
        )
        accrued = await self.owner.fetchval(
            f"""select coalesce(sum(c.credits_fen) - sum(c.debits_fen), 0) from payments.accrual c
                join payments.account a on a.id = c.account_id where a.{by} = $1""",
            account,
        )
        return int(found or 0) + int(accrued or 0)

    async def give(self, holder: int, fen: int) -> None:
        """Money in a purse."""
        engine = make_engine(self.database.application_url, "tests", sessions=1)
        await open_accounts(engine, KEY, [Opening(holder, fen)], lambda _: None)
        await engine.dispose()

    async def receive(self, holder: int, fen: int) -> None:
        """Money that comes to a purse later: a refund, or a top-up."""
        assert await self.desk.post(f"receive-{next(_numbers)}", "bank_settlement", holder, fen) == ""

    async def stand(self, holder: int, status: AccountStatus) -> None:
        await self.owner.execute("update payments.account set status = $2 where id = $1", holder, status)

    async def hold(self, holder: int, fen: int) -> None:
        await self.owner.execute("update payments.account set debits_pending_fen = $2 where id = $1", holder, fen)

    async def look_again(self) -> None:
        """A round of the duty when everything is due that ever comes due again."""
        await self.owner.execute("update card.remainder set next_time = now() where next_time is not null")
        await self.owner.execute("update card.fee set next_time = now()")
        await self.settle()

    async def remainder(self, card: int) -> tuple[bool, int]:
        """Whether it is done, and how much was paid."""
        done, paid = await self.owner.fetchrow("select done, paid_fen from card.remainder where card = $1", card)  # type: ignore[misc]
        return done, paid

    async def acts(self, act: str) -> int:
        """How often it stands in the audit."""
        found: int = await self.owner.fetchval("select count(*) from card.audit where act = $1", act)
        return found

    async def lost_card(self, number: int) -> int:
        card = await self.registry.first_card(number)
        await self.registry.change(card, Verb.REPORT_FORMAL_LOSS)
        return await self.holder(card)

    async def holder(self, card: int) -> int:
        found: int = await self.owner.fetchval("select holder from card.card where id = $1", card)
        return found

    async def apply(self, number: int, source: FeeSource) -> int:
        wanted = replace(WANTED, kind=ApplicationKind.REISSUE, fee=source)
        (decided,) = await self.registry.submit(submission(number, wanted=wanted))
        assert decided.application is not None
        return decided.application

    async def fee(self, application: int) -> FeeState:
        return FeeState(await self.owner.fetchval("select state from card.fee where application = $1", application))

    async def hand_out(self, holder: int, actor: Actor = CLERK) -> HandedOut:
        return await transact(
            self.registry.engine, lambda driver: hand_out(driver, self.registry.sealing, holder, Party.HOLDER_IN_PERSON, actor)
        )

    async def tills(self) -> tuple[int, int]:
        """What each of the two windows has paid out, less what it took in."""
        return await self.balance(CASH), await self.balance(OTHER_CASH)

    async def cancel(self, card: int, pay_to: PayTo = PayTo.CASH) -> Changed:
        change = Change(card, Verb.CANCEL, Party.HOLDER_IN_PERSON, frozenset(Need), 1, pay_to)
        return await transact(
            self.registry.engine,
            lambda driver: change_card(driver, self.registry.sealing, self.registry.settings, change, CLERK, now_ms()),
        )


@asynccontextmanager
async def open_payments(database: Database, folder: Path, service: str) -> AsyncIterator[tuple[str, Tls]]:
    """Payments that serves in this process, and what a service of the back office asks it with."""
    engine = make_engine(database.owner_url, "tests", sessions=1)
    await grant(engine, service, "back_office")
    await engine.dispose()
    authority, address = Authority(folder / "authority"), f"{HOST}:{free_port()}"
    theirs, ours = authority.issue(SERVICE, hosts=[HOST]), authority.issue(f"onecard://service/{service}")
    config = Config.from_environment(
        {
            "ONECARD_DATABASE_URL": database.application_url,
            "ONECARD_KAFKA": NOBODY,
            "ONECARD_BATCH_KEY": KEY.key.hex(),
            **vault_settings(),
        }
    )
    listen = Listen(address, Tls(theirs.certificate, theirs.key, authority.certificate))
    payments = asyncio.create_task(serve(config, listen))  # in this process: one of its own takes seconds to start

    async def listens() -> bool:
        with suppress(OSError):
            (await asyncio.open_connection(*split(address)))[1].close()
            return True
        return False

    await until("payments listens", listens)
    yield address, Tls(ours.certificate, ours.key, authority.certificate)
    payments.cancel()
    await asyncio.gather(payments, return_exceptions=True)


@asynccontextmanager
async def open_counter(registry: Registry, database: Database, owner: Owner, folder: Path) -> AsyncIterator[Counter]:
    """The registry, with payments."""
    async with open_payments(database, folder, "card") as (address, ours):
        desk = PaymentsDesk(address, ours, patience_seconds=20)
        yield Counter(registry, database, owner, desk)
        await desk.close()
