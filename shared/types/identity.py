"""Names of things: heights, rounds, epochs, and the ids of nodes and runtimes."""

from typing import NewType

from shared.encoding.record import Bytes20, Bytes21, Bytes32, Bytes64

Height = NewType("Height", int)
"""A consensus block [blocks]; the first is 1."""
Round = NewType("Round", int)
"""A ParaTime block [rounds]; round 0 is genesis."""
Epoch = NewType("Epoch", int)
"""An election period [epochs]."""
Incarnation = NewType("Incarnation", int)
"""A life of the chain, from 0; each rewind begins the next one [incarnations]."""
FIRST_INCARNATION = Incarnation(0)

Hash = Bytes32
"""SHA-512/256 unless said otherwise."""
PublicKey = Bytes32
"""Ed25519 public key; X25519 where the name says REK or box."""
NodeId = Bytes32
"""Ed25519 public key of a node's identity."""
EntityId = Bytes32
"""Ed25519 public key of the entity that owns nodes."""
RuntimeId = Bytes32
"""Name of a ParaTime or key manager; see `is_key_manager_id`."""
Address = Bytes21
"""Account of the staking ledger."""
EthereumAddress = Bytes20
RawSignature = Bytes64

TEST_RUNTIME_FLAG = 0x80
KEY_MANAGER_FLAG = 0x40
"""Flags in the first byte of a runtime id. Source: oasis-core go/common/namespace.go."""


def is_key_manager_id(runtime_id: bytes) -> bool:
    """Say whether the id names a key manager rather than a ParaTime."""
    return bool(runtime_id[0] & KEY_MANAGER_FLAG)
