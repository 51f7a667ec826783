"""Proofs that an enclave can follow from a signed header down to values of the state."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.crypto.hashes import sha256
from shared.crypto.merkle import merkle_proof
from shared.crypto.state_tree import StateTree
from shared.types.proof import LightBlock, MetaProof, ProvenState


@dataclass(frozen=True, slots=True)
class KeptProof:
    """State items with their proof, kept beside a block so that old ones cost no old state."""

    items: tuple[tuple[bytes, bytes | None], ...]
    state_proof: bytes


def prove_items(tree: StateTree, keys: Iterable[bytes]) -> KeptProof:
    """Prove the values that keys have in a version of the state."""
    asked = tuple(keys)
    return KeptProof(tuple((key, tree.get(key)) for key in asked), tree.prove(asked))


def prove_meta(transactions: Sequence[bytes]) -> MetaProof:
    """Prove that a block's last transaction, which carries the state root, is in the block."""
    hashes = [sha256(transaction) for transaction in transactions]
    return MetaProof(transactions[-1], len(hashes), merkle_proof(hashes, len(hashes) - 1))


def build_proven_state(
    light_block: LightBlock, transactions: Sequence[bytes], proof: KeptProof
) -> ProvenState:
    """Join a block's parts and a proof about the state that it made."""
    return ProvenState(light_block, prove_meta(transactions), proof.items, proof.state_proof)
