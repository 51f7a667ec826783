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
    unsafe_dev_controls: bool = False
    """Whether the node may be told to misbehave, by who knows its `dev-token`."""
    listen_host: str = "127.0.0.1"
    log_level: str = "info"
    log_json: bool = True

    def dev_token(self) -> str | None:
        """Read the token of dev controls; None where there are none."""
        path = self.data_dir / "dev-token"
        return path.read_text().strip() if self.unsafe_dev_controls and path.exists() else None

    def database(self, runtime_id: RuntimeId) -> Path:
        """Where rounds and votes of a ParaTime are kept."""
        return self.data_dir / f"rounds-{runtime_id.hex()}.sqlite"
