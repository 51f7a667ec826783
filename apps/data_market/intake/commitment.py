"""
Commitments to rows: whoever commits first owns what two have, and shows nothing by it.

The commitment is the Merkle root over the rows, each with a salt of its own, so that nobody who
guesses a row can look it up. A row is its numbers as IEEE doubles and its label as text; a proof
shows one row to who is to see it, and no other.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from apps.data_market.errors import BadTable
from apps.data_market.intake.table import Table
from shared.crypto.hashes import kmac256, tuple_hash256
from shared.crypto.merkle import merkle_proof, merkle_root, verify_merkle_proof
from shared.crypto.secret import SecretBytes

SALT_CONTEXT = b"qanat/data-market: salt of a row"
ROW_CONTEXT = b"qanat/data-market: row"
SCHEMA_CONTEXT = b"qanat/data-market: schema"


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a contributor registers."""

    root: bytes
    """32 bytes."""
    rows: int
    schema_hash: bytes
    """Of the columns' names, 32 bytes."""


@dataclass(frozen=True, slots=True)
class RowProof:
    """One row of a commitment, with what shows that it is there."""

    index: int
    salt: bytes
    aunts: tuple[bytes, ...]


def commit(table: Table, secret: SecretBytes) -> Commitment:
    """Commit to a table with salts that follow from a secret of at least 32 bytes."""
    columns = [name.encode() for name in (table.label, *table.features)]
    schema_hash = tuple_hash256(SCHEMA_CONTEXT, *columns)
    return Commitment(merkle_root(_leaves(table, secret)), len(table.labels), schema_hash)


def prove_row(table: Table, secret: SecretBytes, index: int) -> RowProof:
    """Show one row. Raises `BadTable` where there is no such row."""
    if not 0 <= index < len(table.labels):
        raise BadTable(f"no row {index} among {len(table.labels)}")
    aunts = merkle_proof(_leaves(table, secret), index)
    return RowProof(index, _salt(secret, index), aunts)


def verify_row(
    commitment: Commitment, numbers: Sequence[float], label: str, proof: RowProof
) -> None:
    """Verify that a row is one of a commitment. Raises `BadMerkleProof`."""
    leaf = row_leaf(numbers, label, proof.salt)
    verify_merkle_proof(
        commitment.root, leaf, index=proof.index, total=commitment.rows, aunts=proof.aunts
    )


def row_leaf(numbers: Sequence[float], label: str, salt: bytes) -> bytes:
    """What of a row stands in the tree, 32 bytes. Zero has one sign."""
    packed = struct.pack(f">{len(numbers)}d", *(number + 0.0 for number in numbers))
    return tuple_hash256(ROW_CONTEXT, salt, packed, label.encode())


def _leaves(table: Table, secret: SecretBytes) -> list[bytes]:
    return [
        row_leaf(numbers, label, _salt(secret, index))
        for index, (numbers, label) in enumerate(
            zip(table.numbers.tolist(), table.labels, strict=True)
        )
    ]


def _salt(secret: SecretBytes, index: int) -> bytes:
    return kmac256(secret.reveal(), index.to_bytes(8, "big"), SALT_CONTEXT)
