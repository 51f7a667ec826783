"""
CometBFT's hashes of headers, commits and blocks once more, in Python: what the native ones must be.

Source: cometbft types/{block,vote,validator}.go and proto/tendermint/types @ v0.40.0.
"""

from collections.abc import Iterable, Sequence

from shared.crypto.hashes import sha256
from shared.encoding.protobuf import data, delimited, integer, message, timestamp
from shared.types.proof import BlockId, Commit, CommitSignature, Header, Validator

PART_BYTES = 65_536


def merkle_root(items: Sequence[bytes]) -> bytes:
    """Root as RFC 6962 defines it, split at the largest power of two below the number of items."""
    if len(items) <= 1:
        return sha256(b"\x00" + items[0]) if items else sha256(b"")
    half = 1 << (len(items) - 1).bit_length() - 1
    return sha256(b"\x01" + merkle_root(items[:half]) + merkle_root(items[half:]))


def header_hash(header: Header) -> bytes:
    """Hash that names a block: a Merkle root over the header's 14 fields."""
    return merkle_root(
        [
            _version(header),
            _string(1, header.chain_id),
            integer(1, header.height),
            timestamp(header.time_ns),
            _encode_block_id(header.last_block_id),
            data(1, header.last_commit_hash),
            data(1, header.data_hash),
            data(1, header.validators_hash),
            data(1, header.next_validators_hash),
            data(1, header.consensus_hash),
            data(1, header.app_hash),
            data(1, header.last_results_hash),
            data(1, header.evidence_hash),
            data(1, header.proposer_address),
        ]
    )


def precommit_sign_bytes(chain_id: str, commit: Commit, time_ns: int) -> bytes:
    """
    Bytes that one validator signs to make a block final.

    `time_ns` is that validator's own time [ns]; everything else is common to the commit.
    """
    return delimited(
        integer(1, 2)
        + _sfixed64(2, commit.height)
        + _sfixed64(3, commit.round)
        # CanonicalBlockID has the fields of BlockID; a precommit for no block signs none.
        + (message(4, _encode_block_id(commit.block_id)) if commit.block_id.hash else b"")
        + message(5, timestamp(time_ns))
        + _string(6, chain_id)
    )


def commit_hash(signatures: Iterable[CommitSignature]) -> bytes:
    """Hash by which the next header names the commit of its predecessor."""
    return merkle_root([_commit_signature(signature) for signature in signatures])


def validators_hash(validators: Iterable[Validator]) -> bytes:
    """Hash of a validator set; the order of the argument does not matter."""
    return merkle_root([_simple_validator(validator) for validator in _in_order(validators)])


def _in_order(validators: Iterable[Validator]) -> tuple[Validator, ...]:
    """Validators in CometBFT's order: by falling power, then by address."""
    return tuple(sorted(validators, key=lambda v: (-v.power, sha256(v.public_key)[:20])))


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


def _encode_block_id(name: BlockId) -> bytes:
    """`BlockID`, and as well `CanonicalBlockID`."""
    parts = integer(1, name.parts_total) + data(2, name.parts_hash)
    return data(1, name.hash) + message(2, parts)


def _encode_block(
    header: Header,
    transactions: Sequence[bytes],
    evidence: Sequence[bytes],
    last_commit: Commit | None,
) -> bytes:
    # A transaction is one element of a repeated field, written even when empty.
    txs = b"".join(message(1, transaction) for transaction in transactions)
    items = b"".join(message(1, item) for item in evidence)
    return (
        message(1, _encode_header(header))
        + message(2, txs)
        + message(3, items)
        + message(4, _encode_commit(last_commit))
    )


def _encode_header(header: Header) -> bytes:
    return (
        message(1, _version(header))
        + _string(2, header.chain_id)
        + integer(3, header.height)
        + message(4, timestamp(header.time_ns))
        + message(5, _encode_block_id(header.last_block_id))
        + data(6, header.last_commit_hash)
        + data(7, header.data_hash)
        + data(8, header.validators_hash)
        + data(9, header.next_validators_hash)
        + data(10, header.consensus_hash)
        + data(11, header.app_hash)
        + data(12, header.last_results_hash)
        + data(13, header.evidence_hash)
        + data(14, header.proposer_address)
    )


def _encode_commit(commit: Commit | None) -> bytes:
    if commit is None:  # the first block follows none
        return message(3, _encode_block_id(BlockId(b"")))
    return (
        integer(1, commit.height)
        + integer(2, commit.round)
        + message(3, _encode_block_id(commit.block_id))
        + b"".join(message(4, _commit_signature(s)) for s in commit.signatures)
    )


def _commit_signature(signature: CommitSignature) -> bytes:
    return (
        integer(1, 2)
        + data(2, signature.validator_address)
        + message(3, timestamp(signature.time_ns))
        + data(4, signature.signature)
    )


def _simple_validator(validator: Validator) -> bytes:
    public_key = data(1, validator.public_key)  # PublicKey.ed25519
    return message(1, public_key) + integer(2, validator.power)


def _version(header: Header) -> bytes:
    return integer(1, header.version_block) + integer(2, header.version_app)


def _string(number: int, value: str) -> bytes:
    return data(number, value.encode())


def _sfixed64(number: int, value: int) -> bytes:
    if not value:
        return b""
    return bytes([number << 3 | 1]) + value.to_bytes(8, "little", signed=True)
