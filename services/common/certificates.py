"""How a certificate is signed: of a caller by its subject, or of an authority."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEVELOPMENT: Final = "onecard development authority"
"""So begins the name of an authority that is for one machine."""
CLOCKS_DIFFER: Final = timedelta(minutes=5)


def sign_authority(name: str, key: ec.EllipticCurvePrivateKey, life: timedelta) -> x509.Certificate:
    """An authority's own."""
    builder = _certificate(_name(name), _name(name), key.public_key(), key.public_key(), life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_usage(authority=True), critical=True).sign(key, SHA256())


def sign_caller(
    subject: str,
    kafka_user: str,
    key: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    life: timedelta,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """Of a subject, whose URI it names alone; one with `hosts` (names or addresses) may also serve.

    Kafka looks at distinguished names alone: as the user id there stands the name by which Kafka knows the subject. Whether the
    URI names a subject is the caller's to look at.
    """
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(subject), *map(host_name, hosts)]
    # A common name is too short for a subject.
    user = x509.NameAttribute(NameOID.USER_ID, kafka_user)
    name = x509.Name([*_name("onecard"), user])
    builder = _certificate(name, authority.subject, key, authority_key.public_key(), life)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority_key, SHA256())


def host_name(host: str) -> x509.GeneralName:
    """A name or an address, as it stands in a certificate."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    life: timedelta,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(secrets.randbits(128) or 1)
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
