"""Personal data at rest: each holder's fields under a key of the holder's own, which the vault wraps; and what finds a holder.

A ciphertext is bound to its holder, its field and its version, so that none can be put in another's place. A field is found by
an HMAC of its value, never by the value; the kind of field stands inside, so that no two kinds ever meet.
"""

import os
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import msgspec

from services.card.domain.person import Field, LookupField, Person, Sex
from services.common.keyvault.field import FieldCipher
from services.common.keyvault.vault import KeyVault

DATA_KEY: Final = "data"
INDEX_KEY: Final = "index"
IDENTIFIER_KEY: Final = "identifier"
SEALED_VERSION: Final = 1
"""Of the fields that are written today."""

_KEY_BYTES: Final = 16


class WrappedKey(NamedTuple):
    """A holder's data key, as it is stored."""

    version: int
    """Of the vault's key that wraps it."""
    blob: bytes


class SealedPerson(NamedTuple):
    """What is stored of a person, in the order of the columns; None: nothing is known."""

    name: bytes
    birth_date: bytes
    traits: bytes
    phone: bytes | None
    address: bytes | None
    social_security_number: bytes | None


class Digest(NamedTuple):
    """One way to find a holder."""

    field: LookupField
    index_version: int
    digest: bytes


class HolderCipher:
    """Seals and opens the fields of one holder."""

    __slots__ = ("_cipher", "_holder", "_version")

    def __init__(self, holder: int, data_key: bytes, version: int = SEALED_VERSION) -> None:
        self._holder = holder
        self._cipher = FieldCipher(data_key)
        self._version = version

    def seal(self, field: int, plaintext: bytes) -> bytes:
        """The ciphertext of one field."""
        return self._cipher.seal(self._holder, field, self._version, plaintext)

    def open(self, field: int, sealed: bytes) -> bytes:
        """The field again. Raises VaultError for what is not this holder's, this field's and this version's."""
        return self._cipher.open(self._holder, field, self._version, sealed)

    def seal_person(self, person: Person) -> SealedPerson:
        """All fields of a person."""
        return SealedPerson(
            self.seal(Field.NAME, person.name.encode()),
            self.seal(Field.BIRTH_DATE, person.birth_date.isoformat().encode()),
            self.seal(Field.TRAITS, f"{person.sex.value}{person.nationality}".encode()),
            self._seal_known(Field.PHONE, person.phone),
            self._seal_known(Field.ADDRESS, person.address),
            self._seal_known(Field.SOCIAL_SECURITY_NUMBER, person.social_security_number),
        )

    def open_person(self, sealed: SealedPerson) -> Person:
        """A person again."""
        traits = self.open(Field.TRAITS, sealed.traits).decode()
        return Person(
            self.open(Field.NAME, sealed.name).decode(),
            date.fromisoformat(self.open(Field.BIRTH_DATE, sealed.birth_date).decode()),
            Sex(int(traits[0])),
            traits[1:],
            self._open_known(Field.PHONE, sealed.phone),
            self._open_known(Field.ADDRESS, sealed.address),
            self._open_known(Field.SOCIAL_SECURITY_NUMBER, sealed.social_security_number),
        )

    def _seal_known(self, field: Field, text: str) -> bytes | None:
        return self.seal(field, text.encode()) if text else None

    def _open_known(self, field: Field, sealed: bytes | None) -> str:
        return self.open(field, sealed).decode() if sealed else ""


class Sealing:
    """Makes and opens the keys of holders, and digests what they are found by."""

    def __init__(self, vault: KeyVault) -> None:
        self._vault = vault

    def new_key(self, holder: int) -> tuple[HolderCipher, WrappedKey]:
        """A random key for a new holder."""
        data_key = os.urandom(_KEY_BYTES)
        version, blob = self._vault.wrap(DATA_KEY, data_key, _bound_to(holder))
        return HolderCipher(holder, data_key), WrappedKey(version, blob)

    def cipher(self, holder: int, wrapped: WrappedKey, sealed_version: int) -> HolderCipher:
        """The cipher of a holder who is known. Raises VaultError."""
        data_key = self._vault.unwrap(DATA_KEY, wrapped.version, wrapped.blob, _bound_to(holder))
        return HolderCipher(holder, data_key, sealed_version)

    def data_key_version(self) -> int:
        """Of the vault's key that wraps the keys of new holders."""
        return self._vault.current(DATA_KEY)

    def rewrap(self, holder: int, wrapped: WrappedKey) -> WrappedKey:
        """The same data key under the current version."""
        data_key = self._vault.unwrap(DATA_KEY, wrapped.version, wrapped.blob, _bound_to(holder))
        return WrappedKey(*self._vault.wrap(DATA_KEY, data_key, _bound_to(holder)))

    def index_versions(self) -> tuple[int, ...]:
        """Of the index that this process writes, oldest first."""
        return self._vault.versions(INDEX_KEY)

    def digests(self, field: LookupField, *parts: str) -> list[Digest]:
        """How a value is found, under every version of the index that is in use. No part may hold a line break."""
        message = "\n".join((str(field.value), *parts)).encode()
        return [
            Digest(field, version, self._vault.mac(INDEX_KEY, version, message)) for version in self._vault.versions(INDEX_KEY)
        ]

    def request_digests(self, method: str, request: bytes) -> list[bytes]:
        """Tell one request from another without keeping it, for it may name people: under each version, the newest last."""
        message = b"request\n" + method.encode() + b"\n" + request
        return [self._vault.mac(INDEX_KEY, version, message) for version in self._vault.versions(INDEX_KEY)]

    def identifier_mac(self, begin: bytes) -> bytes:
        """What ends a card identifier."""
        return self._vault.mac(IDENTIFIER_KEY, self._vault.current(IDENTIFIER_KEY), begin)


def encode_papers(papers: object) -> bytes:
    """As they are sealed."""
    return msgspec.msgpack.encode(papers)


def _bound_to(holder: int) -> bytes:
    return holder.to_bytes(8)


def columns(digests: Sequence[Digest]) -> tuple[list[int], list[int], list[bytes]]:
    """As three arrays of a statement."""
    return [d.field for d in digests], [d.index_version for d in digests], [d.digest for d in digests]
