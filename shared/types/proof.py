"""What an enclave needs to believe something about consensus without believing its host."""

from dataclasses import dataclass
from typing import NewType

from shared.encoding.record import Bytes20
from shared.types.identity import Hash, Height, PublicKey, RawSignature


@dataclass(frozen=True, slots=True)
class BlockId:
    """Name of a CometBFT block."""

    hash: bytes
    """32 bytes, or empty before the first block."""
    parts_total: int = 0
    parts_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Header:
    """A CometBFT header; hashes are SHA-256. Source: cometbft types/block.go @ v0.40.0."""

    version_block: int
    version_app: int
    chain_id: str
    height: Height
    time_ns: int
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: Hash
    next_validators_hash: Hash
    consensus_hash: Hash
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: Bytes20


@dataclass(frozen=True, slots=True)
class CommitSignature:
    """One precommit."""

    validator_address: Bytes20
    time_ns: int
    signature: RawSignature


@dataclass(frozen=True, slots=True)
class Commit:
    """Precommits that make a block final."""

    height: Height
    round: int
    block_id: BlockId
    signatures: tuple[CommitSignature, ...]


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator with its power."""

    public_key: PublicKey
    power: int


@dataclass(frozen=True, slots=True)
class LightBlock:
    """A header, the commit for it, and the validators who signed."""

    header: Header
    commit: Commit
    validators: tuple[Validator, ...]


@dataclass(frozen=True, slots=True)
class MetaProof:
    """
    Proves the state root that a block leads to, in that very block.

    The last transaction of each block is `{state_root}` of the application (ADR 0003); the proof
    shows that transaction under the header's data hash.
    """

    transaction: bytes
    total: int
    """Transactions in the block."""
    aunts: tuple[bytes, ...]
    """Merkle siblings from the leaf up, 32 bytes each."""


@dataclass(frozen=True, slots=True)
class ProvenState:
    """Values of consensus state after a block, with all that is needed to believe them."""

    light_block: LightBlock
    meta: MetaProof
    items: tuple[tuple[bytes, bytes | None], ...]
    """(key, value); None where the key is absent."""
    state_proof: bytes
    """Multi-proof of the items against the state root."""


ProvenBytes = NewType("ProvenBytes", bytes)
"""A `ProvenState` as it is encoded, for those who only hand it on."""
