"""Settings of a compute node's host."""

from dataclasses import dataclass
from pathlib import Path

from shared.types.identity import RuntimeId


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables of a compute node; see `docs/services/compute.md`."""

    node_name: str
    data_dir: Path
    """The node's own directory, with its identity file."""
    frame_port: int
    """Where the gateway and fellow nodes ask."""
    http_port: int
    """`/health` and `/metrics`."""
    advertise: str
    """`host:port` of the frames as peers reach it."""
    consensus: str
    """`host:port` of the frames of the consensus service."""
    enclave_fds: tuple[int, ...]
    """Inherited sockets to the enclaves, one for each ParaTime."""
    listen_host: str = "127.0.0.1"
    log_level: str = "info"
    log_json: bool = True

    def database(self, runtime_id: RuntimeId) -> Path:
        """Where rounds and votes of a ParaTime are kept."""
        return self.data_dir / f"rounds-{runtime_id.hex()}.sqlite"
