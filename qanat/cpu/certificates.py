"""X.509 certificates and revocation lists of the mock Intel, with MOCK in every subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

SERIAL_BYTES = 16
BACKDATED = timedelta(days=1)
"""Certificates begin this much before the network, so that no clock is too early for them."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs: a certificate with its key."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def mock_name(common_name: str) -> x509.Name:
    """Give the subject of a mock certificate: nobody can take it for Intel's."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"MOCK {common_name}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "MOCK hardware of a Qanat devnet"),
        ]
    )


def issue_certificate(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: Issuer,
    *,
    serial: bytes,
    begins: datetime,
    ends: datetime,
    is_ca: bool,
    extensions: Sequence[x509.UnrecognizedExtension] = (),
) -> x509.Certificate:
    """Issue a certificate; `serial` is 16 bytes of chance."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(int.from_bytes(serial, "big") | 1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_ca,
                content_commitment=not is_ca,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_ca,
                crl_sign=is_ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_issuer_key(issuer), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer.key, hashes.SHA256(), ecdsa_deterministic=True)


def issue_revocation_list(
    issuer: Issuer, revoked: Sequence[int], *, number: int, begins: datetime, ends: datetime
) -> bytes:
    """Issue a revocation list of serial numbers, DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(begins)
        .next_update(ends)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_issuer_key(issuer), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begins)
        builder = builder.add_revoked_certificate(entry.build())
    crl = builder.sign(issuer.key, hashes.SHA256(), ecdsa_deterministic=True)
    return crl.public_bytes(Encoding.DER)


def pem_chain(*certificates: x509.Certificate) -> str:
    """Write certificates one after the other, leaf first."""
    return "".join(c.public_bytes(Encoding.PEM).decode() for c in certificates)


def _issuer_key(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
