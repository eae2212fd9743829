"""The vault as its own process: a whole card is made over its socket, and nothing that leaves it or stands in its log is a key."""

import asyncio
import json
import os
import resource
import struct
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import pytest

from services.common.keyvault.software import open_token
from services.issuance.adapters.products import read_products
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.card_data import CardData
from services.issuance.domain.countersignature import SignatureState
from services.issuance.domain.effects import (
    Answer,
    AskVault,
    Cryptogram,
    Effect,
    Generation,
    KeyUse,
    Operation,
    Past,
    Reached,
    Result,
    Send,
    VaultRefused,
    Verified,
    answers_of,
)
from services.issuance.domain.personalise import personalise
from services.issuance.domain.product import Product
from services.issuance.domain.record import Taken
from services.issuance.domain.update_card import Updated, reload_pin
from services.issuance.vault.client import ChipLease, ChipVault, VaultAwayError, VaultClient
from services.issuance.vault.protocol import LONGEST
from services.issuance.vault.server import may_speak
from simulation.chips.assumed import card_key
from simulation.chips.card import Chip
from simulation.chips.factory import Factory
from simulation.chips.kind import read_kinds
from tests.support import tokens_of_chips
from tests.support.town import Database
from tests.support.vault_process import PIN, VaultProcess, hold, move
from tests.support.waiting import until

PRODUCTS: Final = {product.code: product for product in read_products()}
AES_FOLDER: Final = Path(__file__).parents[2] / "support" / "products"
AES: Final = {product.code: product for product in read_products(AES_FOLDER)}
CHALLENGE: Final = bytes(16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a token that was made beside a factory."""
    return tmp_path_factory.mktemp("vault")


@pytest.fixture
def factory(made: Path) -> Factory:
    return Factory.keep(made / "factory.json", "440700")


@pytest.fixture
async def process(made: Path, factory: Factory, database: Database) -> AsyncIterator[VaultProcess]:
    process = VaultProcess(made, database)
    if not (made / "chips.token").exists():
        done = process.run("chip-vault", "create", "--development", "--keys-from", str(made / "factory.json"))
        assert done.returncode == 0, done.stderr
    await process.start()
    yield process
    process.end()


@pytest.fixture
async def client(process: VaultProcess) -> AsyncIterator[VaultClient]:
    client = VaultClient(process.socket, patience=60)
    yield client
    await client.close()


def blank(factory: Factory, number: int, code: str = "ssc3") -> Chip:
    (made,) = factory.make(read_kinds()[code], number, 1)
    return made.chip


async def held(driver: "asyncpg.Connection[Any]", chip: Chip, number: int) -> Taken:
    return await hold(driver, chip.identifier.hex().upper(), f"B{number}", chip.kind.code, 100 + number)


def data_for(chip: Chip) -> CardData:
    return CardData(
        card_identifier=chip.identifier.hex().upper(),
        card_number="A1234567X",
        social_security_number="11010519491231002X",
        name="欧阳",
        sex="2",
        nationality="01",
        birthplace="110105",
        birth_date=date(1949, 12, 31),
        issue_date=date(2026, 1, 1),
        expiry_date=date(2036, 1, 1),
    )


async def make_card(chip: Chip, lease: ChipLease) -> Result:
    """As the service does it with a terminal, without a journal."""
    product = {**PRODUCTS, **AES}[chip.kind.code]
    talk = personalise(product, data_for(chip), Past(), os.urandom(product.challenge_bytes))
    result: Result = await converse(talk, chip, lease)
    return result


async def converse(conversation: Generator[Effect, Answer, Any], chip: Chip, lease: ChipLease) -> Any:
    chip.power_up()
    answer: Answer = None
    steps = count(1)
    while True:
        try:
            effect = conversation.send(answer)
        except StopIteration as ended:
            return ended.value
        match effect:
            case Reached():
                answer = None
            case AskVault():
                answer = await lease.ask(effect, next(steps))
            case Send():
                raw = []
                for command in effect.commands:
                    raw.append(chip.transmit(command.apdu))
                    if not command.expects(answers_of(raw[-1:]).responses[0]):
                        break
                answer = answers_of(raw)


def authenticate(product: Product, challenge: bytes = CHALLENGE) -> AskVault:
    use = KeyUse(product.key("update").address, Generation.TRANSPORT)
    return AskVault(Operation.EXTERNAL_AUTHENTICATE, use, challenge[: product.challenge_bytes])


async def lease_for(client: VaultClient, taken: Taken, code: str = "ssc3") -> ChipLease:
    lease = await ChipVault(client).open(taken, PRODUCTS[code])
    assert isinstance(lease, ChipLease)
    return lease


def forms(secret: bytes) -> Iterator[bytes]:
    """As it might be written somewhere."""
    for turned in (secret, secret[::-1]):
        yield turned
        yield turned.hex().encode()
        yield turned.hex().upper().encode()


class Tap:
    """Stands between the client and the vault, and keeps what the vault says."""

    def __init__(self, folder: Path, vault: Path) -> None:
        self.path = folder / "tap.sock"
        self.said = b""
        self._vault = vault

    async def __aenter__(self) -> "Tap":
        self._server = await asyncio.start_unix_server(self._connected, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_unix_connection(str(self._vault))

        async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, kept: bool) -> None:
            while read := await source.read(65536):
                self.said += read if kept else b""
                sink.write(read)
            sink.close()

        await asyncio.gather(pour(reader, downstream, kept=False), pour(upstream, writer, kept=True))


@pytest.mark.parametrize("code", ["ssc3", "ssc2"])
async def test_a_card_is_made_and_no_key_leaves_the_vault(
    code: str, process: VaultProcess, factory: Factory, driver: "asyncpg.Connection[Any]", tmp_path: Path
) -> None:
    chip, product = blank(factory, 1, code), PRODUCTS[code]
    taken = await held(driver, chip, 1)
    async with Tap(tmp_path, process.socket) as tap:
        client = VaultClient(tap.path, patience=60)
        lease = await lease_for(client, taken, code)
        assert isinstance(await make_card(chip, lease), Verified)
        wrong = AskVault(Operation.RELOAD_PIN, KeyUse(2, Generation.FINAL), CHALLENGE, data=b"123456")
        assert isinstance(await lease.ask(wrong, 0), VaultRefused)
        assert await client.check_identifiers(code, [taken.blank.card_identifier]) == [True]
        await lease.close()
        await client.close()
    token = open_token(process.folder / "chips.token", PIN)
    algorithm = product.algorithm
    roots = {key.label: key.secret for key in token._keys}
    finals = {
        key.address: card_key(algorithm, roots[f"{algorithm.lower()}.{key.name}"], chip.identifier) for key in product.keys
    }
    assert chip.keys == finals  # it really has our keys, each from its own root
    assert len(set(finals.values())) == len(finals)
    secret = [
        *roots.values(),
        *finals.values(),
        card_key(algorithm, factory.keys[f"{algorithm.lower()}.transport"], chip.identifier),
        PIN.encode(),
    ]
    logged = process.log.read_bytes()
    assert len(tap.said) > 300
    for heard in (tap.said, logged):
        assert not [one for key in secret for one in forms(key) if one in heard]
    named = chip.identifier.hex().upper().encode()
    assert named not in logged
    assert b"vault_step_refused" in logged


async def test_a_card_is_made_with_roots_that_never_leave_a_hardware_module(
    made: Path,
    factory: Factory,
    database: Database,
    driver: "asyncpg.Connection[Any]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = tokens_of_chips.softhsm()
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    tokens_of_chips.set_up_token(tmp_path, "city")
    process = VaultProcess(
        tmp_path,
        database,
        ONECARD_VAULT="",
        ONECARD_VAULT_PIN=tokens_of_chips.PIN,
        ONECARD_PKCS11_MODULE=str(library),
        ONECARD_PKCS11_TOKEN="city",
        ONECARD_PRODUCTS=str(AES_FOLDER),
    )
    created = process.run("chip-vault", "create")
    assert created.returncode == 0, created.stderr
    for name, key in ((name, factory.keys[f"aes.{name}"]) for name in ("transport", "irk")):
        half = os.urandom(16)
        other = bytes(a ^ b for a, b in zip(half, key, strict=True))
        brought = process.run("chip-vault", "bring-together", f"aes.{name}", given=f"{half.hex()}\n{other.hex()}\ny\n")
        assert brought.returncode == 0, brought.stderr
        assert process.run("chip-vault", "activate", f"aes.{name}", "2").returncode == 0
    await process.start()
    (code,) = AES
    (delivered,) = factory.make(read_kinds(AES_FOLDER)[code], 1, 1)
    chip = delivered.chip
    client = VaultClient(process.socket, patience=60)
    before = dict(chip.keys)
    lease = await ChipVault(client).open(await held(driver, chip, 1), AES[code])
    assert isinstance(lease, ChipLease)
    assert isinstance(await make_card(chip, lease), Verified)
    assert not set(before.values()) & set(chip.keys.values())
    assert await client.check_identifiers(code, [chip.identifier.hex(), "00" * 16]) == [True, False]
    await client.close()
    assert process.end() == 0


async def test_another_cards_identifier_is_given_nothing(
    client: VaultClient, factory: Factory, driver: "asyncpg.Connection[Any]"
) -> None:
    mine, other = blank(factory, 1), blank(factory, 2)
    taken = await held(driver, mine, 1)
    vault = ChipVault(client)
    stolen = replace(taken, blank=replace(taken.blank, card_identifier=other.identifier.hex().upper()))
    assert isinstance(await vault.open(stolen, PRODUCTS["ssc3"]), VaultRefused)
    assert isinstance(await vault.open(taken, PRODUCTS["ssc2"]), VaultRefused)
    assert isinstance(await vault.open(taken, PRODUCTS["ssc3"]), ChipLease)
    issued = await vault.open_issued(taken.record, taken.blank.card_identifier, PRODUCTS["ssc3"], 3, "onecard://x")
    assert isinstance(issued, VaultRefused)  # it is not made yet


async def test_a_blank_that_is_barred_gets_nothing_more_within_seconds(
    client: VaultClient, process: VaultProcess, factory: Factory, driver: "asyncpg.Connection[Any]"
) -> None:
    taken = await held(driver, blank(factory, 1), 1)
    lease = await lease_for(client, taken)
    assert isinstance(await lease.ask(authenticate(PRODUCTS["ssc3"]), 1), Cryptogram)
    await move(driver, "B1", Verb.BAR, BlankState.PERSONALISING, taken.record.fence)

    async def refused() -> bool:
        # Malformed, so that no step is used up.
        asked = AskVault(Operation.VERIFY_CARD, KeyUse(PRODUCTS["ssc3"].key("internal").address, Generation.FINAL), CHALLENGE)
        await lease.ask(asked, 1)
        return '"reason": "BARRED"' in process.log.read_text()

    await until("the lease has ended", refused)
    assert isinstance(await lease.ask(authenticate(PRODUCTS["ssc3"]), 2), VaultRefused)
    assert isinstance(await ChipVault(client).open(taken, PRODUCTS["ssc3"]), VaultRefused)


async def test_a_card_that_was_handed_over_is_updated_with_a_second_persons_signature_alone(
    client: VaultClient, factory: Factory, driver: "asyncpg.Connection[Any]", owner: "asyncpg.Connection[Any]"
) -> None:
    chip, product, vault = blank(factory, 1), PRODUCTS["ssc3"], ChipVault(client)
    taken = await held(driver, chip, 1)
    lease = await lease_for(client, taken)
    assert isinstance(await make_card(chip, lease), Verified)
    fence, identifier = taken.record.fence, taken.blank.card_identifier
    await move(driver, "B1", Verb.VERIFY, BlankState.VERIFIED, fence)
    await move(driver, "B1", Verb.PRINT, BlankState.PRINTED, fence)
    await move(driver, "B1", Verb.HAND_OVER, BlankState.HANDED_OVER, fence)

    staff, at = taken.actor.staff, taken.actor.terminal

    async def signed(
        act: str, record: int, state: SignatureState, *, until_when: str = "1 hour", by: int = staff, terminal: str = at
    ) -> int:
        number: int = await owner.fetchval(
            """insert into issuance.countersignature (act, digest, detail, requested_by, requested_shift, terminal, outlet,
                   state, decided_by, decided_shift, expire_time)
               values ($1, sha256(random()::text::bytea), jsonb_build_object('record', $2::text, 'what', 'PIN'), $6, 30, $7, 'HALL',
                   $3::smallint, $4::bigint, $4::bigint, now() + $5::text::interval) returning id""",
            act,
            str(record),
            state,
            None if state is SignatureState.WAITING else 4,
            until_when,
            by,
            terminal,
        )
        return number

    for useless in (
        await signed("UPDATE_CARD", taken.record.id + 1, SignatureState.SIGNED),
        await signed("SPOIL_BLANK", taken.record.id, SignatureState.SIGNED),
        await signed("UPDATE_CARD", taken.record.id, SignatureState.WAITING),
        await signed("UPDATE_CARD", taken.record.id, SignatureState.REJECTED),
        await signed("UPDATE_CARD", taken.record.id, SignatureState.SIGNED, until_when="-1 second"),
        await signed("UPDATE_CARD", taken.record.id, SignatureState.USED),
        await signed("UPDATE_CARD", taken.record.id, SignatureState.SIGNED, by=staff + 5),
        await signed("UPDATE_CARD", taken.record.id, SignatureState.SIGNED, terminal=at + "0"),
        2**40,
    ):
        assert isinstance(await vault.open_issued(taken.record, identifier, product, staff, at, useless), VaultRefused)
    good = await signed("UPDATE_CARD", taken.record.id, SignatureState.SIGNED)
    update = await vault.open_issued(taken.record, identifier, product, staff, at, good)
    assert isinstance(update, ChipLease)
    assert isinstance(await converse(reload_pin(product, identifier, "246810", Past()), chip, update), Updated)
    assert chip.pin == "246810"
    assert isinstance(await vault.open(taken, product), VaultRefused)  # its keys are never loaded again
    assert isinstance(await vault.open_issued(taken.record, identifier, product, staff, at), ChipLease)  # a check


async def test_a_newer_epoch_takes_the_lease_away(
    client: VaultClient, factory: Factory, driver: "asyncpg.Connection[Any]"
) -> None:
    taken = await held(driver, blank(factory, 1), 1)
    old = await lease_for(client, taken)
    await driver.execute("update issuance.record set epoch = 2 where id = $1", taken.record.id)
    new = await lease_for(client, replace(taken, record=replace(taken.record, epoch=2)))
    assert isinstance(await old.ask(authenticate(PRODUCTS["ssc3"]), 1), VaultRefused)
    assert isinstance(await new.ask(authenticate(PRODUCTS["ssc3"]), 1), Cryptogram)


async def test_a_vault_that_was_killed_and_started_again_goes_on_with_the_card(
    client: VaultClient, process: VaultProcess, factory: Factory, driver: "asyncpg.Connection[Any]"
) -> None:
    chip = blank(factory, 1)
    lease = await lease_for(client, await held(driver, chip, 1))
    before = await lease.ask(authenticate(PRODUCTS["ssc3"]), 1)
    process.kill()
    assert process.socket.exists()
    asking = asyncio.create_task(lease.ask(authenticate(PRODUCTS["ssc3"]), 2))
    await process.start()
    assert await asking == before
    assert isinstance(await make_card(chip, lease), Verified)


async def test_a_vault_that_is_away_is_said_to_be_away(process: VaultProcess) -> None:
    process.kill()
    client = VaultClient(process.socket, patience=0)
    with pytest.raises(VaultAwayError):
        await client.development()


async def test_it_finishes_what_it_has_begun_and_takes_its_socket_away(
    process: VaultProcess, client: VaultClient, factory: Factory
) -> None:
    good = [factory.identifier(read_kinds()["ssc3"], number).hex().upper() for number in range(1000)]
    asking = [asyncio.create_task(client.check_identifiers("ssc3", good)) for _ in range(4)]
    assert await asking[0] == [True] * 1000
    code = await asyncio.to_thread(process.end)
    assert code == 0
    assert not process.socket.exists()
    for task in asking:
        task.cancel()
    answered = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, BaseException) or one == [True] * 1000 for one in answered)


async def test_the_factorys_identifiers_are_genuine_and_no_others(client: VaultClient, factory: Factory) -> None:
    for code in ("ssc3", "ssc2"):
        good = factory.identifier(read_kinds()[code], 5).hex().upper()
        wrong = [good[:-1] + ("0" if good[-1] != "0" else "1"), good[:31], "x" * 32, ""]
        assert await client.check_identifiers(code, [good, *wrong]) == [True, False, False, False, False]
    assert await client.check_identifiers("nothing", [good]) == [False]
    assert await client.development()


GARBAGE: Final = [
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">I", LONGEST + 1),
    struct.pack(">I", 0),
    struct.pack(">I", 3) + b"\xc1\xc1\xc1",
    struct.pack(">I", 1) + b"\x90",
    struct.pack(">I", 6) + msgspec.msgpack.encode({"id": 1}) + b"\0\0",
    struct.pack(">I", 2000) + b"\x91" * 2000,
    struct.pack(">I", LONGEST) + b"\xff" * LONGEST,
]


async def test_who_speaks_something_else_is_hung_up_on_and_nobody_else_minds(
    process: VaultProcess, client: VaultClient
) -> None:
    assert await client.development()
    for sent in GARBAGE:
        reader, writer = await asyncio.open_unix_connection(str(process.socket))
        writer.write(sent)
        assert await reader.read() == b"", sent[:20]
        writer.close()
        assert await client.development()
    assert client._link is not None
    assert not client._link.broken
    assert process.log.read_text().count("vault_garbage") >= len(GARBAGE)


async def test_a_lease_belongs_to_the_connection_on_which_it_was_opened(
    client: VaultClient, process: VaultProcess, factory: Factory, driver: "asyncpg.Connection[Any]"
) -> None:
    lease = await lease_for(client, await held(driver, blank(factory, 1), 1))
    other = VaultClient(process.socket, patience=60)
    asked = lease._message(authenticate(PRODUCTS["ssc3"]))
    assert (await other.ask(asked)).refusal == "NO_LEASE"
    assert (await client.ask(asked)).refusal is None
    await other.close()


async def test_the_socket_is_our_users_alone_and_the_process_leaves_no_core(process: VaultProcess) -> None:
    assert process.socket.stat().st_mode & 0o777 == 0o600
    assert may_speak(os.geteuid(), set())
    assert not may_speak(os.geteuid() + 1, set())
    assert may_speak(os.geteuid() + 1, {os.geteuid() + 1})
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)
    second = await asyncio.to_thread(process.run, "vault-serve")
    assert second.returncode != 0
    assert "another vault serves" in second.stderr


async def test_a_root_is_renewed_by_ceremony_and_chips_keep_what_they_were_begun_with(
    process: VaultProcess, client: VaultClient, factory: Factory, driver: "asyncpg.Connection[Any]"
) -> None:
    await lease_for(client, await held(driver, blank(factory, 1), 1))
    parts = "".join(f"{os.urandom(16).hex()}\n" for _ in range(2))
    brought = process.run("chip-vault", "bring-together", "sm4.read", given=parts + "y\n")
    assert brought.returncode == 0, brought.stderr
    version = brought.stdout.split()[-1]
    shown = brought.stdout + brought.stderr
    assert shown.count("check value") == 3
    assert not [part for part in parts.split() if part in shown]
    assert process.run("chip-vault", "activate", "sm4.read", version).returncode == 0
    refused = process.run("chip-vault", "destroy", "sm4.read", "1", given="000000\n")
    assert refused.returncode != 0
    assert "1 chips that have keys of it" in refused.stdout
    assert "stays" in refused.stderr
    told = {
        (label, number): value for label, number, _, value in open_token(process.folder / "chips.token", PIN).check_values()
    }
    current = process.run("chip-vault", "destroy", "sm4.read", version, given=told["sm4.read", int(version)] + "\n")
    assert "is the current one" in current.stderr
    gone = process.run("chip-vault", "destroy", "sm4.read", "1", given=told["sm4.read", 1] + "\n")
    assert gone.returncode == 0, gone.stderr
    process.kill()
    await process.start()
    # A chip whose root is gone gets nothing, whatever is current now; a new one is begun with the new version.
    other = await held(driver, blank(factory, 2), 2)
    lease = await lease_for(client, other)
    use = KeyUse(PRODUCTS["ssc3"].key("read").address, Generation.FINAL)
    assert isinstance(await lease.ask(AskVault(Operation.EXTERNAL_AUTHENTICATE, use, CHALLENGE), 1), Cryptogram)
    stored = await driver.fetchval("select versions->>'sm4.read' from issuance.chip_key where serial = 'B2'")
    assert stored == version


async def test_the_vaults_role_sees_what_a_lease_needs_and_changes_nothing(
    process: VaultProcess, driver: "asyncpg.Connection[Any]", factory: Factory
) -> None:
    await held(driver, blank(factory, 1), 1)
    connection = await asyncpg.connect(process.environment["ONECARD_VAULT_DATABASE_URL"].replace("+asyncpg", ""))
    try:
        for forbidden in (
            "select * from issuance.journal",
            "select * from issuance.blank_account",
            "select reason from issuance.record",
            "update issuance.blank set barred = false",
            "update issuance.record set epoch = 9",
            "delete from issuance.chip_key",
            "select * from issuance.owed",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        await connection.execute("insert into issuance.chip_key (serial, versions) values ('B1', '{}')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update issuance.chip_key set versions = '{}'")
    finally:
        await connection.close()


def test_keys_come_from_a_file_for_one_machine_alone(tmp_path: Path, database: Database) -> None:
    process = VaultProcess(tmp_path, database)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"transport": "00" * 16}))
    refused = process.run("chip-vault", "create", "--keys-from", str(keys))
    assert "custodians bring them together" in refused.stderr
    assert not (tmp_path / "chips.token").exists()
    keys.write_text("sm4.transport 00")
    refused = process.run("chip-vault", "create", "--development", "--keys-from", str(keys))
    assert "no JSON object" in refused.stderr
