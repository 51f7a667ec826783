"""Settings of a compute node's host."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.compute.rules.txpool import SEQUENCE_WINDOW, UPSTREAM_WINDOW
from shared.kit.dev_controls import load_dev_token
from shared.kit.settings import PREFIX, BadSettings, read_settings
from shared.types.identity import RuntimeId

UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables of a compute node; see `docs/services/compute.md`."""

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
    enclave_fds: tuple[int, ...]
    """Inherited sockets to the enclaves, one for each ParaTime."""
    unsafe_dev_controls: bool = False
    """Whether the node may be told to misbehave, by who knows its `dev-token`."""
    nonce_windows: tuple[str, ...] = ()
    """`RUNTIME_ID=WINDOW`: how far ahead of its account a nonce may wait; `upstream` is 9."""
    listen_host: str = "127.0.0.1"
    log_level: str = "info"
    log_json: bool = True

    def dev_token(self) -> str | None:
        """Read the token of dev controls; None where there are none."""
        return load_dev_token(self.data_dir) if self.unsafe_dev_controls else None

    def sequence_window(self, runtime_id: RuntimeId) -> int:
        """How far ahead of its sender a sequence of a ParaTime may wait."""
        return _read_windows(self.nonce_windows).get(runtime_id.hex(), SEQUENCE_WINDOW)

    def database(self, runtime_id: RuntimeId) -> Path:
        """Where rounds and votes of a ParaTime are kept."""
        return self.data_dir / f"rounds-{runtime_id.hex()}.sqlite"


def read_compute_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings, or raise `BadSettings`."""
    settings = read_settings(Settings, environ)
    _read_windows(settings.nonce_windows)
    return settings


def _read_windows(entries: tuple[str, ...]) -> dict[str, int]:
    windows: dict[str, int] = {}
    for entry in entries:
        runtime_id, _, text = entry.partition("=")
        if text != UPSTREAM and not (text.isascii() and text.isdigit()):
            raise BadSettings(f"{PREFIX}NONCE_WINDOWS: {entry!r} is not ID=NUMBER or ID={UPSTREAM}")
        windows[runtime_id.lower()] = UPSTREAM_WINDOW if text == UPSTREAM else int(text)
    return windows
