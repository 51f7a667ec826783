"""
The workload keyset: the public keys that are the service's identity, and what binds them.

Source: aci.md 3.1, 3.2.
"""

import re
from dataclasses import dataclass

from apps.inference.documents.canonical import (
    Document,
    canonical,
    digest,
    hex_of,
    integer_of,
    objects_of,
    optional_text_of,
    text_of,
)
from apps.inference.errors import KeyRoleReused, MalformedDocument, MalformedNonce
from shared.crypto.hashes import sha256

ED25519 = "ed25519"
ED25519_BYTES = 32
MAX_KEYS = 64
"""Of each role; a keyset of more is nobody's."""
_NONCE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of the keyset; what its bytes are depends on its algorithm."""

    key_id: str
    algo: str
    public_key: str
    """Lower-case hex."""

    def document(self) -> Document:
        """Give the form in the keyset."""
        return {"key_id": self.key_id, "algo": self.algo, "public_key": self.public_key}


@dataclass(frozen=True, slots=True)
class Keyset:
    """The service's keys by role."""

    subject: str | None
    not_after: int
    """[Unix s]"""
    receipt_keys: tuple[PublicKey, ...]
    e2ee_keys: tuple[PublicKey, ...]
    tls_keys: tuple[tuple[str, str | None], ...] = ()
    """SHA-256 of a certificate's key in hex, with the host name it is for."""

    def document(self) -> Document:
        """Give the form in the report."""
        return {
            "subject": self.subject,
            "not_after": self.not_after,
            "receipt_signing_keys": [key.document() for key in self.receipt_keys],
            "e2ee_public_keys": [key.document() for key in self.e2ee_keys],
            "tls_public_keys": [_tls_document(*key) for key in self.tls_keys],
        }


def keyset_digest(document: Document) -> str:
    """Give the digest of a keyset, of the form in the report."""
    return digest(canonical(document))


def read_keyset(untrusted: Document) -> Keyset:
    """
    Read a keyset.

    Raises
    ------
    MalformedDocument
        Not of the protocol's form, or without an Ed25519 key for receipts.
    KeyRoleReused
        A key has two roles.
    """
    tls_keys = tuple(
        (text_of(one, "spki_sha256"), optional_text_of(one, "domain"))
        for one in objects_of(untrusted, "tls_public_keys")
    )
    keyset = Keyset(
        subject=optional_text_of(untrusted, "subject"),
        not_after=integer_of(untrusted, "not_after"),
        receipt_keys=_read_keys(untrusted, "receipt_signing_keys"),
        e2ee_keys=_read_keys(untrusted, "e2ee_public_keys"),
        tls_keys=tls_keys,
    )
    if max(len(keyset.receipt_keys), len(keyset.e2ee_keys), len(tls_keys)) > MAX_KEYS:
        raise MalformedDocument(f"a role has at most {MAX_KEYS} keys")
    names = [key.key_id for key in (*keyset.receipt_keys, *keyset.e2ee_keys)]
    if len(set(names)) != len(names):
        raise MalformedDocument("two keys have one key_id")
    shared = {key.public_key for key in keyset.receipt_keys} & {
        key.public_key for key in keyset.e2ee_keys
    }
    if shared:
        raise KeyRoleReused("a key signs receipts and opens requests")
    return keyset


def statement(digest_text: str, nonce: str | None) -> bytes:
    """Give the bytes that name a keyset and a challenge, or raise `MalformedNonce`."""
    if nonce is not None and not _NONCE.fullmatch(nonce):
        raise MalformedNonce("a nonce is 64 lower-case hex digits")
    return canonical(
        {"keyset_digest": digest_text, "nonce": nonce, "purpose": "aci.report_data.v1"}
    )


def report_data(digest_text: str, nonce: str | None) -> bytes:
    """Give the 32 bytes that a quote must begin its report data with."""
    return sha256(statement(digest_text, nonce))


def _read_keys(document: Document, role: str) -> tuple[PublicKey, ...]:
    keys = []
    for one in objects_of(document, role):
        key = PublicKey(text_of(one, "key_id"), text_of(one, "algo"), text_of(one, "public_key"))
        if key.algo == ED25519 and len(hex_of(one, "public_key")) != ED25519_BYTES:
            raise MalformedDocument(f"key {key.key_id} is not of Ed25519")
        keys.append(key)
    return tuple(keys)


def _tls_document(spki_sha256: str, domain: str | None) -> Document:
    found: Document = {"spki_sha256": spki_sha256}
    if domain is not None:
        found["domain"] = domain
    return found
