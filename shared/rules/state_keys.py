"""
Where things stand in the consensus state.

A key is a prefix byte of the module and the id. Enclaves read these keys with proofs. Prefixes are
those of oasis-core's modules (docs/consensus @ f9f1fdc); the sub-keys are this project's.
"""

CHAIN_CONTEXT = b"\xf0chain-context"
"""Value: the chain context, ASCII hex."""
EPOCH = b"\x40epoch"
"""Value: `EpochState`."""
TIME_SHIFT = b"\x40time-shift"
"""Value: `TimeShift`; absent where time was never moved."""
INCARNATION = b"\xf0incarnation"
"""Value: `IncarnationState`; absent in the first life of the chain, before any rewind."""
SUPPLY = b"\x50t"
"""Value: `Supply`: all tokens there are."""
PARAMETERS = b"\xf0parameters"
"""Value: `Parameters`: what genesis says about the rules."""


def epoch_start_key(epoch: int) -> bytes:
    """Value: `EpochState` of a recent epoch."""
    return b"\x40e" + epoch.to_bytes(8, "big")


ACCOUNTS = b"\x50a"


def account_key(address: bytes) -> bytes:
    """Value: `Account` of the staking ledger."""
    return ACCOUNTS + address


def delegation_key(account: bytes, delegator: bytes) -> bytes:
    """Value: `Delegation` of a delegator to an account."""
    return b"\x50d" + account + delegator


DEBONDING = b"\x50u"


def debonding_key(end_epoch: int, account: bytes, delegator: bytes) -> bytes:
    """Value: `DebondingDelegation`; the epoch comes first, so that what is due comes first."""
    return DEBONDING + end_epoch.to_bytes(8, "big") + account + delegator


def entity_key(entity_id: bytes) -> bytes:
    """Value: `Entity`."""
    return b"\x10e" + entity_id


NODES = b"\x10n"
RUNTIMES = b"\x10r"


def node_key(node_id: bytes) -> bytes:
    """Value: `NodeDescriptor`."""
    return NODES + node_id


def key_owner_key(public_key: bytes) -> bytes:
    """Value: id of the node that uses a key, 32 bytes as they are."""
    return b"\x10k" + public_key


def validator_owner_key(address: bytes) -> bytes:
    """Value: id of the node whose consensus key has this CometBFT address, 32 bytes."""
    return b"\x10v" + address


def node_status_key(node_id: bytes) -> bytes:
    """Value: `NodeStatus`."""
    return b"\x10s" + node_id


def collateral_floor_key(family: str) -> bytes:
    """Value: `CollateralFloor` of a platform family."""
    return b"\x10c" + family.encode()


def runtime_key(runtime_id: bytes) -> bytes:
    """Value: `RuntimeDescriptor`."""
    return RUNTIMES + runtime_id


def last_block_key(runtime_id: bytes) -> bytes:
    """Value: `BlockHeader` of the newest round."""
    return b"\x20b" + runtime_id


def round_state_key(runtime_id: bytes) -> bytes:
    """Value: the open round, its commitments and timeouts."""
    return b"\x20p" + runtime_id


def mining_key(runtime_id: bytes) -> bytes:
    """Value: `Mining`; absent where dev controls never changed it."""
    return b"\x20m" + runtime_id


def liveness_key(runtime_id: bytes) -> bytes:
    """Value: `LivenessStatistics` of this epoch."""
    return b"\x20l" + runtime_id


def runtime_state_key(runtime_id: bytes) -> bytes:
    """Value: `RuntimeState`, what roothash keeps of a runtime beside its open round."""
    return b"\x20r" + runtime_id


def round_results_key(runtime_id: bytes) -> bytes:
    """Value: `RoundResults` of the last normal round."""
    return b"\x20o" + runtime_id


def inbox_key(runtime_id: bytes) -> bytes:
    """Value: `Inbox`, what the next round begins with; absent where it is empty."""
    return b"\x20i" + runtime_id


def past_roots_key(runtime_id: bytes, round_: int) -> bytes:
    """Value: `RoundRoots` of a recent round."""
    return b"\x20h" + runtime_id + round_.to_bytes(8, "big")


def evidence_prefix(runtime_id: bytes) -> bytes:
    """Prefix of the evidence against nodes of a runtime, by round."""
    return b"\x20e" + runtime_id


def evidence_key(runtime_id: bytes, round_: int, digest: bytes) -> bytes:
    """Value: empty; the offence is punished."""
    return evidence_prefix(runtime_id) + round_.to_bytes(8, "big") + digest


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
