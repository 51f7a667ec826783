"""Settings of the gateway, and the names under which the original image knows some of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.gateway.encryption import read_required
from shared.kit.settings import PREFIX, BadSettings, read_settings

STRICT, DEV = "strict", "dev"
PROFILES = (STRICT, DEV)
ETHEREUM = "ethereum"
"""The profile of an imported chain, which has no other; no ParaTime answers by it."""
LOOPBACK = "loopback"
PEERS = (LOOPBACK, "any")
ANSWERS = ("mined", "admitted")

ORIGINAL_NAMES = {
    "GATEWAY__CHAIN_ID": "CHAIN_ID",
    "GATEWAY__HTTP__HOST": "LISTEN_HOST",
    "GATEWAY__HTTP__PORT": "HTTP_PORT",
    "GATEWAY__WS__PORT": "WS_PORT",
    "GATEWAY__HTTP__CORS": "CORS_ORIGINS",
    "GATEWAY__HTTP__VIRTUAL_HOSTS": "VIRTUAL_HOSTS",
    "GATEWAY__METHOD_LIMITS__GET_LOGS_MAX_ROUNDS": "LOGS_MAX_ROUNDS",
    "GATEWAY__OASIS_RPCS": "OASIS_RPCS",
    "GAS__FEE_HISTORY_SIZE": "FEE_HISTORY_ROUNDS",
    "GAS__WINDOW_SIZE": "GAS_PRICE_WINDOW_ROUNDS",
    "GAS__MIN_GAS_PRICE": "DEFAULT_GAS_PRICE_WEI",
    "GAS__COMPUTED_PRICE_MARGIN": "GAS_PRICE_MARGIN_WEI",
    "LOG__LEVEL": "LOG_LEVEL",
    "RUNTIME_ID": "RUNTIME_ID",
}
"""Variables of oasis-web3-gateway (conf/config.go, `__` as separator) to ours, less the prefix."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables of the gateway; see `docs/services/gateway.md`."""

    node_name: str
    data_dir: Path
    runtime_id: bytes
    """32 bytes: the ParaTime that is shown."""
    compute: tuple[str, ...]
    """`host:port` of the frames of every compute node."""
    consensus: str
    """`host:port` of the frames of the consensus service."""
    genesis: Path
    """The genesis document: its validators are where trust begins."""
    chain_id: int = 0x5AFD
    """Of the EVM; localnet's."""
    confidential: bool = True
    """Whether calls are encrypted; a public ParaTime has no calldata key."""
    listen_host: str = "127.0.0.1"
    http_port: int = 8545
    ws_port: int = 8546
    database_url: str = ""
    """SQLAlchemy URL; empty is SQLite in the data directory."""
    cors_origins: tuple[str, ...] = ("*",)
    virtual_hosts: tuple[str, ...] = ("*",)
    profile: str = "strict"
    answer: str = "mined"
    """When `eth_sendRawTransaction` answers: `mined`, when the transaction is in a block, or
    `admitted`, when the pool has it, as upstream."""
    client_version: str = ""
    """Answer to `web3_clientVersion`; empty is the original's form. Some tools work only with names
    that they know, such as `HardhatNetwork/` and `anvil/`."""
    sync_timeout_ms: int = 2_000
    """How long `eth_sendRawTransactionSync` waits [ms]. Source: EIP-7966."""
    sync_max_timeout_ms: int = 60_000
    """The longest that a client may have it wait [ms]. Source: go-ethereum's default."""
    unsafe_dev_controls: bool = False
    """Whether there are `evm_*` methods, which change the whole network."""
    dev_control_peers: str = LOOPBACK
    """Who may use them by a local name: `loopback`, or `any`, for containers."""
    require_encryption: tuple[str, ...] = ()
    """Addresses, or `all`: plain calls and transactions to these contracts fail."""
    oasis_rpcs: bool = True
    logs_max_rounds: int = 100
    """Largest distance of a log query [rounds]. Source: localnet.yml of the original image."""
    fee_history_rounds: int = 20
    gas_price_window_rounds: int = 6
    gas_price_margin_wei: int = 10**9
    default_gas_price_wei: int = 100 * 10**9
    recent_rounds: int = 1024
    """Rounds that are answered from memory."""
    recent_bytes: int = 8 * 1024 * 1024
    """Results that are answered from memory [bytes]."""
    log_level: str = "info"
    log_json: bool = True
    seed: bytes = b""
    """Makes the chance of the probe repeatable; empty draws it from the system."""

    def index_url(self) -> str:
        """Where the block index is kept."""
        return self.database_url or f"sqlite:///{self.data_dir / 'index.sqlite'}"


def read_gateway_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings, or raise `BadSettings`."""
    settings = read_settings(Settings, _with_original_names(environ))
    faults = []
    if len(settings.runtime_id) != 32:
        faults.append("RUNTIME_ID must be 32 bytes in hex")
    if not settings.compute:
        faults.append("COMPUTE must name at least one compute node")
    if settings.profile not in PROFILES:
        faults.append(f"PROFILE must be one of {', '.join(PROFILES)}")
    if settings.dev_control_peers not in PEERS:
        faults.append(f"DEV_CONTROL_PEERS must be one of {', '.join(PEERS)}")
    if settings.answer not in ANSWERS:
        faults.append(f"ANSWER must be one of {', '.join(ANSWERS)}")
    try:
        read_required(settings.require_encryption)
    except ValueError as error:
        faults.append(f"REQUIRE_ENCRYPTION: {error}")
    if settings.recent_rounds < settings.fee_history_rounds:
        faults.append("RECENT_ROUNDS must not be below FEE_HISTORY_ROUNDS")
    if faults:
        raise BadSettings("; ".join(PREFIX + fault for fault in faults))
    return settings


def _with_original_names(environ: Mapping[str, str]) -> dict[str, str]:
    merged = dict(environ)
    for original, ours in ORIGINAL_NAMES.items():
        text = environ.get(original)
        if text is not None:
            merged.setdefault(PREFIX + ours, _as_ours(text))
    return merged


def _as_ours(text: str) -> str:
    if text in ("true", "false"):
        return "1" if text == "true" else "0"
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError as error:
            raise BadSettings(f"{text!r} is not a list: {error}") from error
        return ",".join(str(item) for item in items)
    return text
