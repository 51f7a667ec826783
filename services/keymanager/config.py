"""Settings of a key manager's host."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables of the key manager; see `docs/services/keymanager.md`."""

    node_name: str
    data_dir: Path
    """The node's own directory, with its identity file."""
    genesis: Path
    """The canonical genesis document."""
    port: int
    """The one port: HTTP, and frames for other services."""
    advertise: str
    """`host:port` as other nodes reach it."""
    consensus: str
    """`host:port` of the consensus service."""
    enclave_fd: int
    """Inherited socket to the enclave."""
    listen_host: str = "127.0.0.1"
    log_level: str = "info"
    log_json: bool = True
