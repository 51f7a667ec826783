"""
The genesis document: what a network begins with.

Its hash is the chain context, which separates every signature of this network from those of
others.
"""

from dataclasses import dataclass, replace

from shared.crypto.hashes import sha512_256
from shared.encoding.record import encode_record
from shared.types.identity import Address, Epoch, Hash, PublicKey
from shared.types.keymanager import SignedPolicy
from shared.types.mining import Mining
from shared.types.registry import Entity, RuntimeDescriptor


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A validator of the first block."""

    public_key: PublicKey
    power: int


@dataclass(frozen=True, slots=True)
class ConsensusParameters:
    """Limits of consensus transactions and blocks."""

    max_tx_bytes: int = 1_048_576
    max_block_bytes: int = 22_020_096
    """CometBFT's own limit, 21 MiB."""
    max_tx_gas: int = 10_000_000
    """Most gas that a transaction may ask for: some ten times what the largest one needs."""
    min_gas_price: int = 0
    """Floor of fees [base units per unit of gas]; 0 asks for none."""
    gas_tx_byte: int = 0
    gas_costs: dict[str, int] | None = None
    """By method; a method that is not listed costs nothing."""


@dataclass(frozen=True, slots=True)
class BeaconParameters:
    """How epochs pass. The `insecure` backend: a seed for elections, no proofs."""

    epoch_interval_ms: int
    """Consensus time of one epoch [ms]: blocks come on demand, so time is counted (ADR 0002)."""
    base_epoch: Epoch
    """First epoch; localnet begins at 2."""


@dataclass(frozen=True, slots=True)
class StakingParameters:
    """The ledger's rules."""

    thresholds: dict[str, int]
    """Stake that a registration claims [base units], by kind such as `node-compute`."""
    slashing: dict[str, int]
    """Penalty [base units] by reason."""
    debonding_interval: int = 1
    """[epochs]"""


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """An account of the staking ledger."""

    address: Address
    balance: int = 0
    escrow: int = 0
    """Own active stake."""


@dataclass(frozen=True, slots=True)
class RegistryParameters:
    """Rules of registration."""

    max_node_expiration: int = 2
    """[epochs] after the current one."""
    tee_root_ca_hash: Hash = bytes(32)
    """SHA-256 of the DER root certificate under which quotes must stand."""
    tee_root_ca: bytes = b""
    """That certificate, DER. The mock root of this network, or Intel's."""


@dataclass(frozen=True, slots=True)
class RoothashParameters:
    """Rules of rounds that all runtimes share."""

    max_evidence_age_rounds: int = 100
    """Rounds back that equivocation is punished. Source: mainnet genesis, max_evidence_age."""
    max_past_roots_stored: int = 128
    """Rounds whose roots stay in the state [rounds]."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """The document. Canonical CBOR of it is hashed."""

    chain_id: str
    """At most 50 characters, CometBFT's limit."""
    time_ns: int
    validators: tuple[GenesisValidator, ...]
    consensus: ConsensusParameters
    beacon: BeaconParameters
    staking: StakingParameters
    registry: RegistryParameters
    accounts: tuple[GenesisAccount, ...]
    entities: tuple[Entity, ...]
    runtimes: tuple[RuntimeDescriptor, ...]
    policies: tuple[SignedPolicy, ...]
    dev_control_key: PublicKey | None = None
    """Who may move time and epochs; None where the network has no dev controls."""
    initial_height: int = 1
    roothash: RoothashParameters = RoothashParameters()
    mining: Mining | None = None
    """How the rounds of every ParaTime are made from the start; None for the usual way."""
    gateways: tuple[PublicKey, ...] = ()
    """Node keys of gateways: known to nodes, and no peers of theirs (ADR 0029)."""

    def chain_context(self) -> str:
        """Hex of SHA-512/256 of the canonical document."""
        return sha512_256(encode_record(self)).hex()

    def outline(self) -> "Genesis":
        """Leave out the states with which ParaTimes begin, which may be large; another document."""
        runtimes = tuple(replace(runtime, genesis=None) for runtime in self.runtimes)
        return replace(self, runtimes=runtimes)
