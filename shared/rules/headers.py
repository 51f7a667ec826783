"""
CometBFT's encodings and hashes of headers, votes, commits, validator sets and blocks.

Source: cometbft types/{block,vote,validator,validator_set,results,params,part_set,tx}.go and
proto/tendermint/types @ v0.40.0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.crypto.hashes import sha256
from shared.crypto.merkle import merkle_root
from shared.encoding import protobuf
from shared.types.proof import BlockId, Commit, CommitSignature, Header, Validator

ADDRESS_BYTES = 20
BLOCK_VERSION = 11
"""Version of the block format. Source: cometbft version/version.go, BlockProtocol."""
PART_BYTES = 65_536
"""A block is gossiped, and named, in parts of this size. Source: types/params.go."""

_PRECOMMIT = 2
_FLAG_COMMIT = 2


@dataclass(frozen=True, slots=True)
class HashedResult:
    """The part of a transaction's result that all validators must agree on."""

    code: int
    data: bytes
    gas_wanted: int
    gas_used: int


def validator_address(public_key: bytes) -> bytes:
    """Address of an Ed25519 validator, 20 bytes."""
    return sha256(public_key)[:ADDRESS_BYTES]


def header_hash(header: Header) -> bytes:
    """Hash that names a block: a Merkle root over the header's 14 fields."""
    return merkle_root(
        [
            _version(header),
            protobuf.string(1, header.chain_id),
            protobuf.integer(1, header.height),
            protobuf.timestamp(header.time_ns),
            encode_block_id(header.last_block_id),
            protobuf.data(1, header.last_commit_hash),
            protobuf.data(1, header.data_hash),
            protobuf.data(1, header.validators_hash),
            protobuf.data(1, header.next_validators_hash),
            protobuf.data(1, header.consensus_hash),
            protobuf.data(1, header.app_hash),
            protobuf.data(1, header.last_results_hash),
            protobuf.data(1, header.evidence_hash),
            protobuf.data(1, header.proposer_address),
        ]
    )


def precommit_sign_bytes(chain_id: str, commit: Commit, time_ns: int) -> bytes:
    """
    Bytes that one validator signs to make a block final.

    `time_ns` is that validator's own time [ns]; everything else is common to the commit.
    """
    return protobuf.delimited(
        protobuf.integer(1, _PRECOMMIT)
        + protobuf.sfixed64(2, commit.height)
        + protobuf.sfixed64(3, commit.round)
        # CanonicalBlockID has the fields of BlockID; a precommit for no block signs none.
        + (protobuf.message(4, encode_block_id(commit.block_id)) if commit.block_id.hash else b"")
        + protobuf.message(5, protobuf.timestamp(time_ns))
        + protobuf.string(6, chain_id)
    )


def commit_hash(signatures: Iterable[CommitSignature]) -> bytes:
    """Hash by which the next header names the commit of its predecessor."""
    return merkle_root([_commit_signature(signature) for signature in signatures])


def validators_hash(validators: Iterable[Validator]) -> bytes:
    """Hash of a validator set; the order of the argument does not matter."""
    return merkle_root([_simple_validator(validator) for validator in in_order(validators)])


def in_order(validators: Iterable[Validator]) -> tuple[Validator, ...]:
    """Validators in CometBFT's order: by falling power, then by address."""
    return tuple(sorted(validators, key=lambda v: (-v.power, validator_address(v.public_key))))


def data_hash(transactions: Iterable[bytes]) -> bytes:
    """Hash of a block's transactions: a Merkle root over their SHA-256 hashes."""
    return merkle_root([sha256(transaction) for transaction in transactions])


def results_hash(results: Iterable[HashedResult]) -> bytes:
    """Hash of what a block's transactions made, for the next header."""
    return merkle_root(
        [
            protobuf.integer(1, result.code)
            + protobuf.data(2, result.data)
            + protobuf.integer(5, result.gas_wanted)
            + protobuf.integer(6, result.gas_used)
            for result in results
        ]
    )


def consensus_hash(max_block_bytes: int, max_gas: int) -> bytes:
    """Hash of the consensus parameters that headers commit to."""
    return sha256(protobuf.integer(1, max_block_bytes) + protobuf.integer(2, max_gas))


def evidence_hash(evidence: Iterable[bytes]) -> bytes:
    """Hash of a block's evidence, each item encoded."""
    return merkle_root(list(evidence))


def block_id(
    header: Header,
    transactions: Sequence[bytes],
    evidence: Sequence[bytes],
    last_commit: Commit | None,
) -> BlockId:
    """Name a block: its header's hash, and the Merkle root over the parts of its encoding."""
    encoded = _encode_block(header, transactions, evidence, last_commit)
    parts = [encoded[at : at + PART_BYTES] for at in range(0, len(encoded), PART_BYTES)]
    return BlockId(header_hash(header), len(parts), merkle_root(parts))


def encode_block_id(name: BlockId) -> bytes:
    """`BlockID`, and as well `CanonicalBlockID`."""
    parts = protobuf.integer(1, name.parts_total) + protobuf.data(2, name.parts_hash)
    return protobuf.data(1, name.hash) + protobuf.message(2, parts)


def _encode_block(
    header: Header,
    transactions: Sequence[bytes],
    evidence: Sequence[bytes],
    last_commit: Commit | None,
) -> bytes:
    # A transaction is one element of a repeated field, written even when empty.
    txs = b"".join(protobuf.message(1, transaction) for transaction in transactions)
    items = b"".join(protobuf.message(1, item) for item in evidence)
    return (
        protobuf.message(1, _encode_header(header))
        + protobuf.message(2, txs)
        + protobuf.message(3, items)
        + protobuf.message(4, _encode_commit(last_commit))
    )


def _encode_header(header: Header) -> bytes:
    return (
        protobuf.message(1, _version(header))
        + protobuf.string(2, header.chain_id)
        + protobuf.integer(3, header.height)
        + protobuf.message(4, protobuf.timestamp(header.time_ns))
        + protobuf.message(5, encode_block_id(header.last_block_id))
        + protobuf.data(6, header.last_commit_hash)
        + protobuf.data(7, header.data_hash)
        + protobuf.data(8, header.validators_hash)
        + protobuf.data(9, header.next_validators_hash)
        + protobuf.data(10, header.consensus_hash)
        + protobuf.data(11, header.app_hash)
        + protobuf.data(12, header.last_results_hash)
        + protobuf.data(13, header.evidence_hash)
        + protobuf.data(14, header.proposer_address)
    )


def _encode_commit(commit: Commit | None) -> bytes:
    if commit is None:  # the first block follows none
        return protobuf.message(3, encode_block_id(BlockId(b"")))
    return (
        protobuf.integer(1, commit.height)
        + protobuf.integer(2, commit.round)
        + protobuf.message(3, encode_block_id(commit.block_id))
        + b"".join(protobuf.message(4, _commit_signature(s)) for s in commit.signatures)
    )


def _commit_signature(signature: CommitSignature) -> bytes:
    return (
        protobuf.integer(1, _FLAG_COMMIT)
        + protobuf.data(2, signature.validator_address)
        + protobuf.message(3, protobuf.timestamp(signature.time_ns))
        + protobuf.data(4, signature.signature)
    )


def _simple_validator(validator: Validator) -> bytes:
    public_key = protobuf.data(1, validator.public_key)  # PublicKey.ed25519
    return protobuf.message(1, public_key) + protobuf.integer(2, validator.power)


def _version(header: Header) -> bytes:
    return protobuf.integer(1, header.version_block) + protobuf.integer(2, header.version_app)
