"""
Commitments to documents: the Merkle root of the chunks, each with a salt of its own.

An answer names a document by its commitment and a chunk by its place. The owner can show what
stands there, and nobody who guesses a text can look it up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.knowledge.errors import BadDocument
from shared.crypto.hashes import kmac256, tuple_hash256
from shared.crypto.merkle import merkle_proof, merkle_root, verify_merkle_proof
from shared.crypto.secret import SecretBytes

SALT_CONTEXT = b"qanat/knowledge: salt of a chunk"
CHUNK_CONTEXT = b"qanat/knowledge: chunk"


@dataclass(frozen=True, slots=True)
class ChunkProof:
    """One chunk of a commitment, with what shows that it is there."""

    index: int
    salt: bytes
    aunts: tuple[bytes, ...]


def commit(chunks: Sequence[str], secret: SecretBytes) -> bytes:
    """Give the commitment to a document, 32 bytes; salts follow from 32 secret bytes."""
    return merkle_root(_leaves(chunks, secret))


def prove_chunk(chunks: Sequence[str], secret: SecretBytes, index: int) -> ChunkProof:
    """Show one chunk. Raises `BadDocument` where there is no such chunk."""
    if not 0 <= index < len(chunks):
        raise BadDocument(f"no chunk {index} among {len(chunks)}")
    return ChunkProof(index, _salt(secret, index), merkle_proof(_leaves(chunks, secret), index))


def verify_chunk(commitment: bytes, total: int, chunk: str, proof: ChunkProof) -> None:
    """Verify that a chunk is one of a commitment's. Raises `BadMerkleProof`."""
    leaf = tuple_hash256(CHUNK_CONTEXT, proof.salt, chunk.encode())
    verify_merkle_proof(commitment, leaf, index=proof.index, total=total, aunts=proof.aunts)


def _leaves(chunks: Sequence[str], secret: SecretBytes) -> list[bytes]:
    return [
        tuple_hash256(CHUNK_CONTEXT, _salt(secret, index), chunk.encode())
        for index, chunk in enumerate(chunks)
    ]


def _salt(secret: SecretBytes, index: int) -> bytes:
    return kmac256(secret.reveal(), index.to_bytes(8, "big"), SALT_CONTEXT)
