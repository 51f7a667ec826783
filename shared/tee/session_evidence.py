"""What an enclave shows of itself when a session begins, and how the other side judges it."""

from dataclasses import dataclass

from shared.crypto.signing import (
    BadSignature,
    Context,
    Signer,
    register_context,
    verify_signature,
)
from shared.encoding.record import Bytes64, decode_record, encode_record
from shared.errors import Rejected
from shared.tee.attestation import (
    UnknownEnclave,
    find_root_ca,
    verify_rak_binding,
)
from shared.tee.collateral import verify_edition
from shared.tee.platform import QuoteWithCollateral
from shared.tee.quote_verification import authenticate_quote, verify_policy
from shared.types.attestation import (
    Collateral,
    CollateralEdition,
    EnclaveIdentity,
    QuotePolicy,
)
from shared.types.identity import PublicKey

RESPONDER = register_context("qanat/session: responder (insecure mock)")
INITIATOR = register_context("qanat/session: initiator (insecure mock)")


class BadSessionSignature(Rejected, module="session", code=5):
    """The RAK in the evidence did not sign this handshake."""


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """What an enclave shows of itself."""

    rak: Signer
    quoted: QuoteWithCollateral
    """A quote that binds the RAK."""


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """Whom an enclave talks to."""

    root_ca_hash: bytes
    """SHA-256 of the pinned root certificate, DER."""
    quote_policy: QuotePolicy
    now_s: int
    """Verified consensus time [Unix s]."""
    enclaves: tuple[EnclaveIdentity, ...] | None = None
    """None: any genuine enclave; what it may have is then decided for each request."""
    editions: tuple[CollateralEdition, ...] = ()
    """The least that is asked of the collateral of these platform families."""


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who is at the other end, verified."""

    enclave: EnclaveIdentity
    rak: PublicKey


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """What travels, sealed, in the handshake."""

    rak: PublicKey
    quote: bytes
    collateral: Collateral
    signature: Bytes64
    """By the RAK over the transcript so far."""


def build_evidence(identity: SessionIdentity, context: Context, transcript: bytes) -> bytes:
    """Encode the evidence of an enclave that signs a transcript."""
    return encode_record(
        SessionEvidence(
            rak=identity.rak.public_key,
            quote=identity.quoted.quote,
            collateral=identity.quoted.collateral,
            signature=identity.rak.sign(context.anywhere(), transcript),
        )
    )


def verify_evidence(untrusted: bytes, context: Context, transcript: bytes) -> SessionEvidence:
    """Read evidence whose RAK signed the transcript, or raise; who that is, is judged apart."""
    evidence = decode_record(SessionEvidence, untrusted)
    # First, because it is cheap: who cannot sign does not get certificates verified.
    try:
        verify_signature(evidence.rak, context.anywhere(), transcript, evidence.signature)
    except BadSignature as error:
        raise BadSessionSignature(error.message) from error
    return evidence


def judge_evidence(evidence: SessionEvidence, policy: PeerPolicy) -> PeerIdentity:
    """
    Judge who is at the other end by what holds at the moment.

    At the handshake, and again whenever the session is used: a quote that was good enough an hour
    ago need not be now.

    Raises
    ------
    Rejected
        Of attestation, `UnknownEnclave`, or `CollateralSuperseded`.
    """
    quote = authenticate_quote(
        evidence.quote,
        evidence.collateral,
        root_ca=find_root_ca(evidence.collateral, policy.root_ca_hash),
        now_s=policy.now_s,
    )
    verify_policy(quote, policy.quote_policy, now_s=policy.now_s)
    for required in policy.editions:
        if required.family == quote.edition.family:
            verify_edition(quote.edition, required)
    if policy.enclaves is not None and quote.identity not in policy.enclaves:
        raise UnknownEnclave(f"MRENCLAVE {quote.identity.mr_enclave.hex()} is not listed")
    verify_rak_binding(quote, evidence.rak)
    return PeerIdentity(quote.identity, evidence.rak)
