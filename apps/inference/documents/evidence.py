"""
Evidence of `tee_type: "mock"`: a TDX-shaped quote under a mock root, and what it measures.

The published extension that aci.md 4.2 asks of a TEE of its own; docs/inference.md has it in words.
The service measures what it says of itself - models, provenance, capabilities - as one event of its
run-time register, so that the report's own words are worth what the quote is worth.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from apps.inference.documents.canonical import (
    Document,
    Json,
    hex_of,
    object_of,
    objects_of,
    read_document,
    text_of,
)
from apps.inference.errors import EventLogMismatch, MalformedDocument
from shared.types.attestation import Collateral

MOCK = "mock"
SERVICE_EVENT = "qanat.inference/service"
"""Payload: canonical JSON of `{models, source_provenance, service_capabilities}`."""
RUNTIME_EVENT = 0x0800_0001
RUNTIME_REGISTER = 3
REGISTER_BYTES = 48
MAX_EVENTS = 1024
_QUOTE_BYTES = 16_384
_NAMES = frozenset({"quote", "event_log", "collateral", "root_ca"})


@dataclass(frozen=True, slots=True)
class MockEvidence:
    """What stands in `attestation.evidence`."""

    quote: bytes
    events: tuple[tuple[str, bytes], ...]
    """Names and payloads of the run-time register, in order."""
    collateral: Collateral
    root_ca: bytes
    """The mock root, DER: who says so is the service itself."""

    def document(self) -> Document:
        """Give the form in the report."""
        return {
            "quote": self.quote.hex(),
            "event_log": [_event_document(*event) for event in self.events],
            "collateral": _collateral_document(self.collateral),
            "root_ca": base64.b64encode(self.root_ca).decode(),
        }


def read_evidence(untrusted: Document) -> MockEvidence:
    """Read evidence, or raise `MalformedDocument` or `EventLogMismatch`."""
    unknown = untrusted.keys() - _NAMES
    if unknown:
        raise MalformedDocument(f"evidence of a mock TEE has no {sorted(unknown)[0]}")
    quote = hex_of(untrusted, "quote")
    if len(quote) > _QUOTE_BYTES:
        raise MalformedDocument(f"a quote has at most {_QUOTE_BYTES} bytes")
    return MockEvidence(
        quote=quote,
        events=tuple(_read_event(one) for one in objects_of(untrusted, "event_log")),
        collateral=_read_collateral(object_of(untrusted, "collateral")),
        root_ca=_read_base64(untrusted, "root_ca"),
    )


def replay(events: tuple[tuple[str, bytes], ...]) -> bytes:
    """Give the register that events lead to, 48 bytes, or raise `EventLogMismatch`."""
    if len(events) > MAX_EVENTS:
        raise EventLogMismatch(f"a log has at most {MAX_EVENTS} events")
    register = bytes(REGISTER_BYTES)
    for name, payload in events:
        register = hashlib.sha384(register + event_digest(name, payload)).digest()
    return register


def event_digest(name: str, payload: bytes) -> bytes:
    """48 bytes. Source: dstack `cc-eventlog/src/runtime_events.rs`, version 1."""
    head = RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":"
    return hashlib.sha384(head + payload).digest()


def service_facts(events: tuple[tuple[str, bytes], ...]) -> Document:
    """Give what the service measured of itself last, or raise `EventLogMismatch`."""
    for name, payload in reversed(events):
        if name == SERVICE_EVENT:
            return read_document(payload)
    raise EventLogMismatch("the service did not measure what it says of itself")


def facts_document(
    models: Mapping[str, str], provenance: Document, capabilities: Document
) -> Document:
    """Give what is measured: models by name with the digest of their weights."""
    return {
        "models": dict(models),
        "source_provenance": provenance,
        "service_capabilities": capabilities,
    }


def _event_document(name: str, payload: bytes) -> Document:
    return {
        "imr": RUNTIME_REGISTER,
        "event_type": RUNTIME_EVENT,
        "digest": event_digest(name, payload).hex(),
        "event": name,
        "event_payload": payload.hex(),
    }


def _read_event(untrusted: Document) -> tuple[str, bytes]:
    name, payload = text_of(untrusted, "event"), hex_of(untrusted, "event_payload")
    # Every restated field is recomputed: the digest, the register's number, the kind.
    if untrusted != _event_document(name, payload):
        raise EventLogMismatch("an event is not what its name and payload make")
    return name, payload


def _collateral_document(collateral: Collateral) -> Document:
    found: dict[str, Json] = {}
    for field in fields(collateral):
        value = getattr(collateral, field.name)
        found[field.name] = value if isinstance(value, str) else base64.b64encode(value).decode()
    return found


def _read_collateral(untrusted: Document) -> Collateral:
    names = {field.name for field in fields(Collateral)}
    if untrusted.keys() != names:
        raise MalformedDocument("the collateral has other fields than version 3 of DCAP")
    return Collateral(
        pck_crl_issuer_chain=text_of(untrusted, "pck_crl_issuer_chain"),
        root_ca_crl=_read_base64(untrusted, "root_ca_crl"),
        pck_crl=_read_base64(untrusted, "pck_crl"),
        tcb_info_issuer_chain=text_of(untrusted, "tcb_info_issuer_chain"),
        tcb_info=text_of(untrusted, "tcb_info"),
        tcb_info_signature=_read_base64(untrusted, "tcb_info_signature"),
        qe_identity_issuer_chain=text_of(untrusted, "qe_identity_issuer_chain"),
        qe_identity=text_of(untrusted, "qe_identity"),
        qe_identity_signature=_read_base64(untrusted, "qe_identity_signature"),
    )


def _read_base64(document: Document, name: str) -> bytes:
    try:
        found = base64.b64decode(text_of(document, name), validate=True)
    except ValueError as error:
        raise MalformedDocument(f"{name} is not base64") from error
    if base64.b64encode(found).decode() != document[name]:
        raise MalformedDocument(f"{name} is not canonical base64")
    return found
