"""The records of a network file, as its author writes them; `docs/networks.md` is the reference."""

from dataclasses import dataclass

from shared.kit.instance_socket import MAX_INSTANCES

EVM = "evm"
"""The runtime that Ethereum's clients can use."""
PYTHON = "python:"
"""Begins the name of a runtime whose program is the Python module that follows."""
STRICT, DEV = "strict", "dev"
"""Profiles of answers, of gateways."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """Who keeps the consensus chain."""

    nodes: tuple[str, ...]
    keep_heights: int = 8192
    """Newest heights that can be read and gone back to; 0 keeps all, as an archive."""


MAX_BLOCK_TIME_STEP_S = 366 * 86_400
"""Most that timestamps of blocks may be apart [s], as `anvil_setBlockTimestampInterval` has it."""


MAX_WORKERS = 16
"""Workers that the command line adds."""


@dataclass(frozen=True, slots=True)
class KeyManager:
    """A key manager: who keeps the keys of ParaTimes."""

    name: str
    id: str
    """64 hex digits."""
    nodes: tuple[str, ...]
    max_ephemeral_secret_age: int = 20
    master_secret_rotation_interval: int = 0


@dataclass(frozen=True, slots=True)
class Committee:
    """How many nodes of a ParaTime execute a round, and how patient they are."""

    workers: int = 3
    backup_workers: int = 3
    round_timeout_ms: int = 2000
    batch_flush_timeout_ms: int = 2000
    propose_batch_timeout_ms: int = 1000


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where clients of a ParaTime ask."""

    name: str
    http_port: int
    ws_port: int = 0
    """Only of an EVM's gateway."""
    answer: str = "mined"
    """When `eth_sendRawTransaction` answers: `mined` (in a block) or `admitted` (in the pool)."""
    profile: str = STRICT
    """Which answers it gives where a request names none: `strict`, Sapphire's, or `dev`."""
    client_version: str = ""
    """Answer to `web3_clientVersion`, for tools that work only with names that they know."""


@dataclass(frozen=True, slots=True)
class ParaTime:
    """A ParaTime: a runtime, who executes it, and where its clients ask."""

    name: str
    id: str
    """64 hex digits."""
    runtime: str
    """What its enclaves run: `evm`, or `python:` and a module; measured with them."""
    nodes: tuple[str, ...]
    gateway: Gateway
    key_manager: str | None = None
    """Name of the key manager; None where nothing is secret."""
    confidential: bool = True
    evm_chain_id: int | None = None
    """Ethereum's chain id; only of an EVM."""
    committee: Committee = Committee()
    nonce_window: str = "1000"
    """How far ahead of its account a nonce may wait: a number, or `upstream`, Sapphire's 9."""
    keep_rounds: int = 32_768
    """States before the newest that can be read, and more while consensus needs them; 0: all."""
    predeployed: bool = True
    """Whether an EVM has the contracts that every chain has, such as Multicall3, from genesis."""
    ethereum_gas: bool | None = None
    """Whether an EVM charges what Ethereum does: a transfer 21,000, and nothing for its size. None:
    a new chain whose gateway's profile is `dev` does."""
    genesis: str | None = None
    """File with accounts of an EVM's genesis, from the network file's folder; once read, whole."""

    @property
    def is_evm(self) -> bool:
        """Whether Ethereum's clients can use it."""
        return self.runtime == EVM

    @property
    def begins_with_ethereum_gas(self) -> bool:
        """Whether a new chain charges gas as Ethereum does; one that is there has its own rule."""
        if not self.is_evm:
            return False
        return self.gateway.profile == DEV if self.ethereum_gas is None else self.ethereum_gas


@dataclass(frozen=True, slots=True)
class NodeOverride:
    """What is different about one node."""

    name: str
    port: int | None = None
    """Port of the node, instead of the next free one."""
    log_level: str | None = None
    can_lie: tuple[str, ...] = ()
    """ParaTimes in which its enclave is one that lies on demand, with its own measurement."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who runs attested apps, and in which ParaTime these register."""

    paratime: str
    nodes: tuple[str, ...]
    appd_port: int = 0
    """First loopback port of app daemons, 16 for each worker; 0 for Unix sockets only."""
    app_port: int = 0
    """First of 16 ports of apps that each worker in a container publishes; 0 for none."""
    ai: bool = False
    """Whether the image of workers in containers has what the apps of this project need."""

    def published_port(self, node: str, port: int) -> int:
        """Give the port of this machine by which one of `app_port` and on in a container is met."""
        return port + MAX_INSTANCES * self.nodes.index(node)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Ethereum accounts that are funded at genesis, in every EVM."""

    mnemonic: str
    count: int
    amount: int
    """[whole tokens]"""


@dataclass(frozen=True, slots=True)
class Network:
    """A network file."""

    name: str
    chain_id: str
    epoch_interval_s: int
    consensus: Consensus
    paratime: tuple[ParaTime, ...]
    accounts: Accounts
    key_manager: tuple[KeyManager, ...] = ()
    worker: Workers | None = None
    """None where no apps run."""
    node: tuple[NodeOverride, ...] = ()
    base_epoch: int = 2
    unsafe_mock_tee: bool = False
    """Consent to a TEE that protects nothing; without it no process starts."""
    dev_controls: bool = False
    block_time_step_s: int = 0
    """Least that each block's timestamp is ahead of the one before [s]; 0 lets them repeat."""
    debug_key: bool = False
    """Whether there is a key that sees what any transaction did, pinned in measured enclaves."""

    def find_key_manager(self, name: str) -> KeyManager:
        """Give the key manager of a name; the file was checked, so it is there."""
        return next(one for one in self.key_manager if one.name == name)

    def find_paratime(self, name: str) -> ParaTime:
        """Give the ParaTime of a name; the file was checked, so it is there."""
        return next(one for one in self.paratime if one.name == name)

    def find_override(self, name: str) -> NodeOverride:
        """Give what is different about a node, which may be nothing."""
        return next((one for one in self.node if one.name == name), NodeOverride(name))

    def is_liar(self, node: str, paratime: str) -> bool:
        """Say whether a node's enclave for a ParaTime is one that lies on demand."""
        return paratime in self.find_override(node).can_lie

    def compute_nodes(self) -> dict[str, tuple[str, ...]]:
        """Give the ParaTimes of each compute node, by name, in the order of the file."""
        served: dict[str, tuple[str, ...]] = {}
        for paratime in self.paratime:
            for node in paratime.nodes:
                served[node] = (*served.get(node, ()), paratime.name)
        return served
