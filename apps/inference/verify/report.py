"""
Is this report of a service that I accept, and made for my challenge?

Source: aci.md 9.1.
"""

from dataclasses import dataclass

from apps.inference.documents.canonical import (
    VERSION,
    Document,
    canonical,
    digest_of,
    hex_of,
    object_of,
    text_of,
)
from apps.inference.documents.evidence import (
    MOCK,
    MockEvidence,
    read_evidence,
    service_facts,
)
from apps.inference.documents.keyset import Keyset, keyset_digest, read_keyset, report_data
from apps.inference.errors import (
    KeysetDigestMismatch,
    KeysetExpired,
    KeysetTooDistant,
    MeasurementRefused,
    ReportDataMismatch,
    SubjectRefused,
    UnknownTee,
    UnknownVersion,
    UnmeasuredClaim,
)
from apps.inference.verify.policy import LONGEST_KEYSET_S, Policy
from apps.inference.verify.quote import verify_quote


@dataclass(frozen=True, slots=True)
class VerifiedService:
    """What is known once a report has passed."""

    digest: str
    keyset: Keyset
    measurement: str
    """MRTD of the quote, hex."""
    models: dict[str, str]
    """By name, with the digest of their weights, as the service measured them."""
    capabilities: Document
    """What else the service measured of itself."""
    is_mock: bool
    is_root_pinned: bool
    """Whether the policy named the root; where the service did, it proves consistency only."""
    is_measurement_pinned: bool


def verify_report(
    report: Document, *, nonce: str | None, policy: Policy, now_s: int
) -> VerifiedService:
    """
    Verify an attestation report.

    Parameters
    ----------
    report : `Document`
        As served at `/v1/aci/attestation`, read by `read_document`.
    nonce : `str` or None
        The verifier's own challenge, 64 hex digits; None proves binding, and nothing of freshness.
    policy : `Policy`
    now_s : `int`
        When it is to have been good [Unix s].

    Raises
    ------
    MalformedDocument, MalformedNonce, UnknownVersion, KeysetDigestMismatch, ReportDataMismatch,
    KeyRoleReused, KeysetExpired, KeysetTooDistant, SubjectRefused, UnknownTee, MockRefused,
    NotCanonical, QuoteBindingMismatch, EventLogMismatch, UnmeasuredClaim, MeasurementRefused
        See each class; and what `verify_quote` raises.
    """
    if text_of(report, "api_version") != VERSION:
        raise UnknownVersion("not a report of aci/1")
    attestation = object_of(report, "attestation")
    document = object_of(attestation, "workload_keyset")
    digest = keyset_digest(document)
    if digest_of(report, "workload_keyset_digest") != digest:
        raise KeysetDigestMismatch("the keyset does not hash to the digest beside it")
    bound = report_data(digest, nonce)
    if hex_of(attestation, "report_data") != bound:
        raise ReportDataMismatch("the report is of another keyset, or answers another challenge")
    keyset = read_keyset(document)
    _verify_keyset(keyset, policy, now_s)
    if text_of(attestation, "tee_type") != MOCK:
        raise UnknownTee("this verifier reads mock evidence only")
    evidence = read_evidence(object_of(attestation, "evidence"))
    measured = verify_quote(evidence, bound, policy, now_s)
    models = _verify_facts(evidence, report, attestation, policy)
    return VerifiedService(
        digest=digest,
        keyset=keyset,
        measurement=measured,
        models=models,
        capabilities=object_of(report, "service_capabilities"),
        is_mock=True,
        is_root_pinned=policy.root_ca is not None,
        is_measurement_pinned=bool(policy.measurements),
    )


def _verify_keyset(keyset: Keyset, policy: Policy, now_s: int) -> None:
    if now_s >= keyset.not_after:
        raise KeysetExpired(f"the keyset ended {now_s - keyset.not_after} s ago")
    if keyset.not_after - now_s > LONGEST_KEYSET_S:
        raise KeysetTooDistant(f"a keyset lives at most {LONGEST_KEYSET_S} s")
    if policy.subject is not None and keyset.subject != policy.subject:
        raise SubjectRefused("the keyset is of another subject than the policy wants")


def _verify_facts(
    evidence: MockEvidence, report: Document, attestation: Document, policy: Policy
) -> dict[str, str]:
    facts = service_facts(evidence.events)
    for name, said in (
        ("source_provenance", object_of(attestation, "source_provenance")),
        ("service_capabilities", object_of(report, "service_capabilities")),
    ):
        if canonical(object_of(facts, name)) != canonical(said):
            raise UnmeasuredClaim(f"{name} is not what was measured")
    models = object_of(facts, "models")
    found = {name: digest_of(models, name) for name in models}
    for name, weights in policy.models.items():
        if found.get(name) != weights:
            raise MeasurementRefused(f"the service runs other weights of {name}")
    return found
