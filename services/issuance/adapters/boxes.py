"""Boxes in PostgreSQL: what is known of a delivery already, and all of its blanks added at once."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from services.common.keyvault.vault import KeyVault
from services.issuance.adapters.blanks import Signed, enter, find_blanks
from services.issuance.adapters.delivery_file import Delivery, Fault, LineFault
from services.issuance.domain.blank import BlankState, Verb

ACCOUNT_KEY: Final = "account"
"""Of the service's own vault: seals the bank accounts of blanks."""
_BOX: Final = "select exists (select from issuance.box where name = $1)"
_SERIALS: Final = "select serial from issuance.blank where serial = any($1::text[])"
_IDENTIFIERS: Final = "select card_identifier from issuance.blank where card_identifier = any($1::text[])"
_ADD_BOX: Final = "insert into issuance.box (name, product, supplier, count, file_digest) values ($1, $2, $3, $4, $5)"
_ACCOUNTS: Final = "select serial, key_version, sealed from issuance.blank_account where serial = any($1::text[])"


class Accounts:
    """Bank accounts of blanks, sealed: each opens for its own blank alone."""

    def __init__(self, vault: KeyVault) -> None:
        self._vault = vault

    async def add(self, driver: "asyncpg.Connection[Any]", accounts: Sequence[tuple[str, str]]) -> None:
        """By serial."""
        rows = []
        for serial, account in accounts:
            version, blob = self._vault.wrap(ACCOUNT_KEY, account.encode(), serial.encode())
            rows.append((serial, blob, version))
        await driver.copy_records_to_table(
            "blank_account", schema_name="issuance", columns=("serial", "sealed", "key_version"), records=rows
        )

    async def find_all(self, driver: "asyncpg.Connection[Any]", serials: Sequence[str]) -> dict[str, str]:
        """Of blanks that were not handed over yet; who has none is left out. Raises VaultError."""
        rows = await driver.fetch(_ACCOUNTS, serials)
        return {row[0]: self._vault.unwrap(ACCOUNT_KEY, row[1], row[2], row[0].encode()).decode() for row in rows}


async def known_already(driver: "asyncpg.Connection[Any]", delivery: Delivery) -> list[LineFault]:
    """What of a delivery came before."""
    faults = [LineFault(1, Fault.BOX_KNOWN)] if await driver.fetchval(_BOX, delivery.box) else []
    serials = {row[0] for row in await driver.fetch(_SERIALS, [blank.serial for blank in delivery.blanks])}
    known = await driver.fetch(_IDENTIFIERS, [blank.card_identifier for blank in delivery.blanks])
    identifiers = {row[0] for row in known}
    for blank in delivery.blanks:
        if blank.serial in serials:
            faults.append(LineFault(blank.line, Fault.SERIAL_KNOWN, blank.serial))
        if blank.card_identifier in identifiers:
            faults.append(LineFault(blank.line, Fault.IDENTIFIER_KNOWN, blank.serial))
    return faults


async def add_box(
    driver: "asyncpg.Connection[Any]", delivery: Delivery, digest: bytes, accounts: Accounts | None, signed: Signed
) -> None:
    """All of it, received and boxed. Without a vault no bank accounts are kept."""
    await driver.execute(_ADD_BOX, delivery.box, delivery.product, delivery.supplier, len(delivery.blanks), digest)
    await driver.copy_records_to_table(
        "blank",
        schema_name="issuance",
        columns=("serial", "card_identifier", "product", "box"),
        records=[(blank.serial, blank.card_identifier, delivery.product, delivery.box) for blank in delivery.blanks],
    )
    if accounts:
        await accounts.add(driver, [(blank.serial, blank.account) for blank in delivery.blanks if blank.account])
    serials = [blank.serial for blank in delivery.blanks]
    for verb, state in ((Verb.RECEIVE, BlankState.RECEIVED), (Verb.BOX, BlankState.BOXED)):
        await enter(driver, [(blank, state) for blank in await find_blanks(driver, serials)], verb, signed)
