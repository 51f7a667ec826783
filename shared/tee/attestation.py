"""
Attestation: which enclave holds these keys, on which node, seen when.

The steps are oasis-core's, in its order, and each refusal is a class of its own: the quote is
genuine, its platform is good enough, the code is the one that is asked for, the quote speaks of
this RAK, and the RAK speaks of this node, height and REK. Source: oasis-core go/common/node/sgx.go
and runtime/src/{identity,attestation}.rs @ f9f1fdc.
"""

from shared.crypto.entropy import Entropy
from shared.crypto.hashes import sha256, sha512_256, tuple_hash256
from shared.crypto.signing import BadSignature, Signer, register_context, verify_signature
from shared.errors import Rejected
from shared.tee.platform import PlatformApi
from shared.tee.quote import parse_quote
from shared.tee.quote_verification import (
    AuthenticQuote,
    UntrustedRoot,
    authenticate_quote,
    last_certificate,
    verify_policy,
)
from shared.types.attestation import (
    Attestation,
    CapabilityTee,
    Collateral,
    CollateralEdition,
    TeeConstraints,
)
from shared.types.identity import Height

ATTESTATION = register_context("oasis-core/node: TEE attestation signature")
RAK_BINDING = b"oasis-core/node: TEE RAK binding"
QUOTE_NONCE = b"oasis-core/node: TEE quote nonce"


class UnknownEnclave(Rejected, module="attestation", code=20):
    """The quote is genuine, but of code that the runtime does not list."""


class RakNotBound(Rejected, module="attestation", code=21):
    """The quote speaks of another RAK."""


class BadAttestationSignature(Rejected, module="attestation", code=22):
    """The RAK did not sign this report, node, height and REK."""


class AttestationTooOld(Rejected, module="attestation", code=23):
    """The height in the attestation is too far back."""


class AttestationFromFuture(Rejected, module="attestation", code=24):
    """The attestation names a height that consensus has not reached."""


class QuoteNotMine(Rejected, module="attestation", code=25):
    """The quote that came back does not answer the request that the enclave made."""


def bind_rak(rak: bytes) -> bytes:
    """First half of the report data: 32 bytes that name a RAK."""
    return sha512_256(RAK_BINDING + rak)


def attestation_hash(report_data: bytes, node_id: bytes, height: int, rek: bytes | None) -> bytes:
    """Hash that the RAK signs; without a REK it has one item less."""
    items = [report_data, node_id, height.to_bytes(8, "little")]
    if rek is not None:
        items.append(rek)
    return tuple_hash256(ATTESTATION.base.encode(), *items)


def make_attestation(
    platform: PlatformApi,
    entropy: Entropy,
    *,
    rak: Signer,
    rek: bytes,
    node_id: bytes,
    height: Height,
) -> CapabilityTee:
    """
    Have the platform attest an enclave's fresh keys.

    Raises
    ------
    QuoteNotMine
        The platform answered with the quote of another request.
    """
    nonce = sha512_256(QUOTE_NONCE + entropy.draw("quote nonce", 32))
    report_data = bind_rak(rak.public_key) + nonce
    quoted = platform.quote(report_data)
    if parse_quote(quoted.quote).report_data != report_data:
        raise QuoteNotMine("the quote does not carry the report data that was asked for")
    message = attestation_hash(report_data, node_id, height, rek)
    return CapabilityTee(
        rak=rak.public_key,
        rek=rek,
        attestation=Attestation(
            quote=quoted.quote,
            collateral=quoted.collateral,
            height=height,
            signature=rak.sign(ATTESTATION.anywhere(), message),
        ),
    )


def verify_attestation(
    capability: CapabilityTee,
    *,
    node_id: bytes,
    constraints: TeeConstraints,
    root_ca: bytes,
    now_s: int,
    min_height: int,
    max_height: int,
) -> CollateralEdition:
    """
    Verify that a node runs a listed enclave with these keys.

    Parameters
    ----------
    capability : `CapabilityTee`
        As the node's descriptor carries it.
    node_id : `bytes`
        The node that carries it.
    constraints : `TeeConstraints`
        Of the deployment that is active.
    root_ca : `bytes`
        Root certificate that genesis pins, DER.
    now_s : `int`
        Consensus time [Unix s].
    min_height, max_height : `int`
        Heights, both included, that the attestation may name: the oldest that is fresh enough, and
        the newest block.

    Returns
    -------
    edition : `CollateralEdition`
        How new the evidence is; whoever remembers what others have shown judges it further.

    Raises
    ------
    Rejected
        One class for each step: those of `authenticate_quote` and `verify_policy`, then
        `UnknownEnclave`, `RakNotBound`, `BadAttestationSignature`, `AttestationFromFuture`,
        `AttestationTooOld`.
    """
    attestation = capability.attestation
    quote = authenticate_quote(
        attestation.quote, attestation.collateral, root_ca=root_ca, now_s=now_s
    )
    verify_policy(quote, constraints.policy, now_s=now_s)
    if quote.identity not in constraints.enclaves:
        raise UnknownEnclave(
            f"MRENCLAVE {quote.identity.mr_enclave.hex()} with MRSIGNER "
            f"{quote.identity.mr_signer.hex()} is not listed"
        )
    verify_rak_binding(quote, capability.rak)
    message = attestation_hash(
        quote.report.report_data, node_id, attestation.height, capability.rek
    )
    try:
        verify_signature(capability.rak, ATTESTATION.anywhere(), message, attestation.signature)
    except BadSignature as error:
        raise BadAttestationSignature(error.message) from error
    if attestation.height > max_height:
        raise AttestationFromFuture(f"height {attestation.height}, newest {max_height}")
    if attestation.height < min_height:
        raise AttestationTooOld(f"height {attestation.height}, oldest allowed {min_height}")
    return quote.edition


def verify_rak_binding(quote: AuthenticQuote, rak: bytes) -> None:
    """Verify that a quote speaks of a RAK, or raise `RakNotBound`."""
    if quote.report.report_data[:32] != bind_rak(rak):
        raise RakNotBound(f"the quote does not bind RAK {rak.hex()}")


def find_root_ca(collateral: Collateral, root_ca_hash: bytes) -> bytes:
    """
    Take the pinned root certificate (DER) from the end of a chain that anybody may have sent.

    Enclaves pin the root by its SHA-256, and take the certificate from where it is.

    Raises
    ------
    UntrustedRoot
        The chain ends in another certificate.
    """
    root_ca = last_certificate(collateral.pck_crl_issuer_chain)
    if sha256(root_ca) != root_ca_hash:
        raise UntrustedRoot("the issuer chain does not end in the pinned root")
    return root_ca
