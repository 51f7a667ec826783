"""What rules know beside the state: the block they run in, and who calls."""

from dataclasses import dataclass
from typing import Protocol

from shared.crypto.address import staking_address
from shared.types.attestation import CapabilityTee, CollateralEdition, TeeConstraints
from shared.types.identity import FIRST_INCARNATION, Incarnation


class AttestationVerifier(Protocol):
    """`shared.tee.attestation.verify_attestation`, or a test's."""

    def __call__(
        self,
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
        Say how new the evidence is for an enclave that may be trusted.

        Raises `Rejected` for any other.
        """
        ...


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block that is executed."""

    height: int
    time_ns: int
    """Consensus time [ns]."""
    chain_context: str
    proposer: bytes
    """CometBFT address of the validator who made the block, 20 bytes."""
    verify_attestation: AttestationVerifier
    incarnation: Incarnation = FIRST_INCARNATION
    """Life of the chain in which the block is made."""

    @property
    def time_s(self) -> int:
        """Consensus time [s]."""
        return self.time_ns // 1_000_000_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the transaction."""

    public_key: bytes
    address: bytes
    """Staking address of the key, 21 bytes."""


def caller_of(public_key: bytes) -> Caller:
    """Give the caller that a key stands for."""
    return Caller(public_key, staking_address(public_key))
