"""What an enclave is told before it runs, and what its measurement covers."""

from dataclasses import dataclass

from shared.types.genesis import GenesisValidator
from shared.types.identity import Hash, PublicKey, RuntimeId
from shared.types.registry import RuntimeKind, Version


@dataclass(frozen=True, slots=True)
class EnclaveConfig:
    """
    What the enclave believes without proof.

    It is part of MRENCLAVE, so whoever accepts the measurement accepts these values. It cannot name
    the genesis document, which names MRENCLAVE: the enclave takes the chain context from consensus
    state that the pinned validators signed.
    """

    runtime_id: RuntimeId
    """The runtime that this enclave serves."""
    kind: RuntimeKind
    version: Version
    chain_id: str
    """Of the consensus chain, as it stands in every header."""
    validators: tuple[GenesisValidator, ...]
    """Where the light client begins."""
    root_ca_hash: Hash
    """SHA-256 of the DER root under which other enclaves' quotes must stand."""
    key_manager: RuntimeId | None
    """Runtime id of the key manager to ask; None in a key manager."""
    policy_signers: tuple[PublicKey, ...]
    """Who may sign key manager policies."""
    policy_threshold: int
    """How many of them must."""
    runtime: str | None = None
    """What a compute enclave runs, such as `evm`; None in a key manager."""
    has_dev_controls: bool = False
    """Whether the chain can be rewound; anywhere else an older chain is an attack."""
    debug_key: PublicKey | None = None
    """
    Who may see what any transaction did: the network's owner, by a key on his machine.

    None where nobody may; a sender sees his own call everywhere.
    """
    dev_control_key: PublicKey | None = None
    """Who may edit an EVM's state and send for others; None where nobody may."""
