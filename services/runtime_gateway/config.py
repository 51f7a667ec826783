"""Settings of the gateway of a ParaTime."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.kit.settings import PREFIX, BadSettings, read_settings


@dataclass(frozen=True, slots=True)
class Settings:
    """`QANAT_*` variables; see `docs/services/runtime_gateway.md`."""

    node_name: str
    data_dir: Path
    runtime_id: bytes
    """32 bytes: the ParaTime that is served."""
    compute: tuple[str, ...]
    """`host:port` of every compute node of it."""
    consensus: str
    """`host:port` of the consensus service."""
    genesis: Path
    """The genesis document: its validators are where trust begins."""
    confidential: bool = True
    """Whether calls are encrypted."""
    listen_host: str = "127.0.0.1"
    http_port: int = 8555
    cors_origins: tuple[str, ...] = ("*",)
    virtual_hosts: tuple[str, ...] = ("*",)
    recent_rounds: int = 256
    """Rounds that are answered from memory; older ones are asked of the nodes."""
    recent_bytes: int = 16 * 1024 * 1024
    """Results that are kept in memory [bytes]."""
    log_level: str = "info"
    log_json: bool = True


def read_gateway_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings, or raise `BadSettings`."""
    settings = read_settings(Settings, environ)
    faults = []
    if len(settings.runtime_id) != 32:
        faults.append("RUNTIME_ID must be 32 bytes in hex")
    if not settings.compute:
        faults.append("COMPUTE must name at least one compute node")
    if faults:
        raise BadSettings("; ".join(PREFIX + fault for fault in faults))
    return settings
