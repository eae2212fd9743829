"""A terminal's own part of its certificate: the key, which never leaves it, and the request that it signs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from onecard.card.v1 import terminals_pb2 as messages
from onecard.card.v1.terminals_pb2_grpc import TerminalServiceStub
from sdk.asking import Asking, new_request_id
from sdk.till.errors import NotAcceptedError

if TYPE_CHECKING:
    from sdk.merchant.access import Credentials

RENEWED_BEHIND: Final = 0.5
"""Of a certificate's life: what is renewed daily then has days left when the platform is away."""


def make_request(subject: str) -> tuple[bytes, str]:
    """Another key, and the request for its certificate; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    signed = request.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), signed


def due(certificate: Path) -> bool:
    """Whether half of its life is over."""
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    begins, ends = read.not_valid_before_utc, read.not_valid_after_utc
    return datetime.now(UTC) >= begins + (ends - begins) * RENEWED_BEHIND


def renew(asking: Asking, held: Credentials) -> messages.Terminal:
    """Another key and certificate in place of those that are held, which this call still shows. It raises as a window does."""
    names = x509.load_pem_x509_certificate(held.certificate.read_bytes()).extensions
    (subject,) = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    )
    key, signed = make_request(subject)
    request = messages.RenewTerminalRequest(request_id=new_request_id(), signing_request=signed)
    answer = asking.ask(TerminalServiceStub(asking.line.channel).RenewTerminal, request, request.request_id)
    if answer.HasField("refusal"):
        raise NotAcceptedError(answer.refusal.reason, answer.refusal.message)
    keep_secret(held.key, key)
    keep_secret(held.certificate, answer.terminal.certificate.encode())
    renewed: messages.Terminal = answer.terminal
    return renewed


def keep_secret(file: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(content)
    partial.replace(file)
