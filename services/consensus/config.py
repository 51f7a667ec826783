"""Settings of the consensus service."""

from dataclasses import dataclass
from pathlib import Path

DATABASE_FILE = "consensus.sqlite"


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables of the consensus service; see `docs/services/consensus.md`."""

    node_name: str
    data_dir: Path
    """The node's own directory, with its identity file."""
    genesis: Path
    """The canonical genesis document."""
    port: int
    """The one port: HTTP, and frames for other services."""
    listen_host: str = "127.0.0.1"
    keep_heights: int = 8192
    """Newest heights that can be read and gone back to [blocks]; 0 keeps all, as an archive."""
    advertise: str = ""
    """`host:port` as other nodes reach it."""
    unsafe_dev_controls: bool = False
    """Lets clients move epochs, make blocks and rewind the chain."""
    log_level: str = "info"
    log_json: bool = True

    def database(self) -> Path:
        """Where the chain is kept."""
        return self.data_dir / DATABASE_FILE
