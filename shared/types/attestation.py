"""What a node says about its enclave, and what a runtime asks of it."""

from dataclasses import dataclass
from typing import Annotated

from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes64
from shared.types.identity import Epoch, Hash, Height, PublicKey

CollateralText = Annotated[str, AtMost(65_536)]
CollateralBytes = Annotated[bytes, AtMost(65_536)]
"""Intel's lists have some 5,000 bytes; the chains of certificates less."""
Families = Annotated[tuple[Annotated[str, AtMost(12)], ...], AtMost(256)]


@dataclass(frozen=True, slots=True)
class EnclaveIdentity:
    """Exact code of an enclave."""

    mr_enclave: Hash
    mr_signer: Hash


@dataclass(frozen=True, slots=True)
class Collateral:
    """Evidence about the platform that travels with a quote: the fields of DCAP collateral v3."""

    pck_crl_issuer_chain: CollateralText
    root_ca_crl: CollateralBytes
    pck_crl: CollateralBytes
    tcb_info_issuer_chain: CollateralText
    tcb_info: CollateralText
    tcb_info_signature: CollateralBytes
    qe_identity_issuer_chain: CollateralText
    qe_identity: CollateralText
    qe_identity_signature: CollateralBytes


@dataclass(frozen=True, slots=True)
class CollateralEdition:
    """How new a collateral is: numbers that grow with every revocation and TCB recovery."""

    family: Annotated[str, AtMost(32)]
    """Kind of TEE and platform family (FMSPC): numbers are compared within one."""
    root_crl: int
    """Number of the root CA's list of revoked certificates."""
    pck_crl: int
    """Number of the list of revoked platforms."""
    tcb_evaluation: int
    qe_evaluation: int
    """TCB evaluation data numbers of the TCB info and the QE identity."""


@dataclass(frozen=True, slots=True)
class CollateralFloor:
    """What consensus remembers of a platform family: older collateral is refused."""

    newest: CollateralEdition
    """Largest numbers that a registered node has shown."""
    since: Epoch
    """Epoch in which they were first shown."""
    before: CollateralEdition | None
    """What binds until they do; None for a family that is new."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """A quote bound to a node, at a height. Source: oasis-core go/common/node/sgx.go @ f9f1fdc."""

    quote: Annotated[bytes, AtMost(16_384)]
    collateral: Collateral
    height: Height
    """Consensus height that the enclave had verified: shows freshness."""
    signature: Bytes64
    """By the RAK over (report_data, node id, height, REK)."""


@dataclass(frozen=True, slots=True)
class CapabilityTee:
    """The enclave of a node: its keys, and the evidence for them."""

    rak: PublicKey
    """Runtime attestation key, Ed25519; fresh at every start."""
    rek: PublicKey
    """Runtime encryption key, X25519; fresh at every start."""
    attestation: Attestation


@dataclass(frozen=True, slots=True)
class QuotePolicy:
    """Which platforms are accepted. Source: oasis-core go/common/sgx/pcs/policy.go @ f9f1fdc."""

    tcb_validity_days: int = 30
    """Largest age of the TCB info [days]."""
    min_tcb_evaluation_data_number: int = 12
    fmspc_whitelist: Families = ()
    """Upper-case hex; empty accepts every platform family that is not on the other list."""
    fmspc_blacklist: Families = ()
    allow_tdx: bool = False


@dataclass(frozen=True, slots=True)
class TeeConstraints:
    """What a deployment asks of the enclaves that run it."""

    enclaves: Annotated[tuple[EnclaveIdentity, ...], AtMost(64)]
    policy: QuotePolicy = QuotePolicy()
    max_attestation_age: int = 2
    """Largest age of an attestation [epochs]; see ADR 0002."""
