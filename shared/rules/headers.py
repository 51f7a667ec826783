"""
CometBFT's encodings and hashes of headers, votes, commits, validator sets and blocks.

Source: cometbft types/{block,vote,validator,validator_set,results,params,part_set,tx}.go and
proto/tendermint/types @ v0.40.0. What every block needs is native (`crates/consensus-core`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import evm_native

from shared.crypto.hashes import sha256
from shared.crypto.merkle import merkle_root
from shared.encoding import protobuf
from shared.types.proof import BlockId, Commit, CommitSignature, Header, Validator

ADDRESS_BYTES = 20
BLOCK_VERSION = 11
"""Version of the block format. Source: cometbft version/version.go, BlockProtocol."""


P = ParamSpec("P")
R = TypeVar("R")


def _in_range(native: Callable[P, R]) -> Callable[P, R]:
    """Refuse numbers that have no 64-bit encoding, with `NumberOutOfRange`."""

    @wraps(native)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return native(*arguments, **named)
        except OverflowError as error:
            raise protobuf.NumberOutOfRange(str(error)) from None

    return call


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


@_in_range
def header_hash(header: Header) -> bytes:
    """Hash that names a block: a Merkle root over the header's 14 fields."""
    return evm_native.header_hash(header)


@_in_range
def precommit_sign_bytes(chain_id: str, commit: Commit, time_ns: int) -> bytes:
    """
    Bytes that one validator signs to make a block final.

    `time_ns` is that validator's own time [ns]; everything else is common to the commit.
    """
    return evm_native.precommit_sign_bytes(chain_id, commit, time_ns)


@_in_range
def commit_hash(signatures: Iterable[CommitSignature]) -> bytes:
    """Hash by which the next header names the commit of its predecessor."""
    return evm_native.commit_hash(signatures)


@_in_range
def validators_hash(validators: Iterable[Validator]) -> bytes:
    """Hash of a validator set; the order of the argument does not matter."""
    return evm_native.validators_hash(validators)


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


@_in_range
def block_id(
    header: Header,
    transactions: Sequence[bytes],
    evidence: Sequence[bytes],
    last_commit: Commit | None,
) -> BlockId:
    """Name a block: its header's hash, and the Merkle root over the parts of its encoding."""
    total, root = evm_native.block_parts(header, transactions, evidence, last_commit)
    return BlockId(header_hash(header), total, root)
