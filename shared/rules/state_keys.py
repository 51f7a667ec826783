"""
Where things stand in the consensus state.

A key is a prefix byte of the module and the id. Enclaves read these keys with proofs. Prefixes are
those of oasis-core's modules (docs/consensus @ f9f1fdc); the sub-keys are this project's.
"""

CHAIN_CONTEXT = b"\xf0chain-context"
"""Value: the chain context, ASCII hex."""
EPOCH = b"\x40epoch"
"""Value: `EpochState`."""


def account_key(address: bytes) -> bytes:
    """Value: a staking account."""
    return b"\x50a" + address


def entity_key(entity_id: bytes) -> bytes:
    """Value: `Entity`."""
    return b"\x10e" + entity_id


def node_key(node_id: bytes) -> bytes:
    """Value: `NodeDescriptor`."""
    return b"\x10n" + node_id


def node_status_key(node_id: bytes) -> bytes:
    """Value: `NodeStatus`."""
    return b"\x10s" + node_id


def runtime_key(runtime_id: bytes) -> bytes:
    """Value: `RuntimeDescriptor`."""
    return b"\x10r" + runtime_id


def last_block_key(runtime_id: bytes) -> bytes:
    """Value: `BlockHeader` of the newest round."""
    return b"\x20b" + runtime_id


def round_state_key(runtime_id: bytes) -> bytes:
    """Value: the open round, its commitments and timeouts."""
    return b"\x20p" + runtime_id


def committee_key(runtime_id: bytes) -> bytes:
    """Value: `Committee` of this epoch; absent where none could be elected."""
    return b"\x60c" + runtime_id


def key_manager_status_key(runtime_id: bytes) -> bytes:
    """Value: `KeyManagerStatus`."""
    return b"\x70s" + runtime_id


def master_secret_key(runtime_id: bytes) -> bytes:
    """Value: `SignedPublishedSecret`, the newest proposed or accepted master secret."""
    return b"\x70m" + runtime_id


def ephemeral_secret_key(runtime_id: bytes) -> bytes:
    """Value: `SignedPublishedSecret`, the newest published ephemeral secret."""
    return b"\x70e" + runtime_id
