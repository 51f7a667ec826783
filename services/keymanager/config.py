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
    frame_port: int
    """Where compute nodes and other key managers ask."""
    http_port: int
    """`/health` and `/metrics`."""
    advertise: str
    """`host:port` of the frames as peers reach it."""
    consensus: str
    """`host:port` of the frames of the consensus service."""
    enclave_fd: int
    """Inherited socket to the enclave."""
    listen_host: str = "127.0.0.1"
    log_level: str = "info"
    log_json: bool = True
