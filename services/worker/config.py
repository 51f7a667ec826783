"""Settings of a worker's host."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables of the worker; see `docs/services/worker.md`."""

    node_name: str
    data_dir: Path
    """The node's own directory, with its identity file and the bundles of its apps."""
    genesis: Path
    """The canonical genesis document."""
    port: int
    """The one port: HTTP, and frames for other services."""
    advertise: str
    """`host:port` as other nodes reach it."""
    consensus: str
    """`host:port` of the consensus service."""
    gateway: str
    """`host:port` of the gateway of the ParaTime in which the apps register."""
    runtime_id: bytes
    """That ParaTime."""
    instances_fd: int
    """Inherited socket to the launcher, which starts enclaves."""
    listen_host: str = "127.0.0.1"
    log_level: str = "info"
    log_json: bool = True
    appd_ports: int = 0
    """First loopback port of app daemons, one for each instance; 0 for Unix sockets only."""
