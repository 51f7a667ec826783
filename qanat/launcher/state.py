"""What a running launcher says of itself, in `launcher.json`; others read it, nobody asks it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qanat.layout import DataLayout
from shared.errors import Rejected

PROCESS_STATES = ("starting", "running", "paused", "restarting", "stopped")


class AlreadyRunning(Rejected, module="launcher", code=1):
    """Another launcher runs on this data directory."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process, or one container's process, as `qanat ps --json` shows it."""

    name: str
    service: str
    part: str
    """`host` or `enclave`."""
    pid: int | None
    container: str | None
    ports: tuple[int, ...]
    data_dir: str
    state: str
    """One of `PROCESS_STATES`."""
    restarts: int = 0
    paratime: str | None = None
    """Name of the ParaTime that it serves; of several, with commas; None where it serves all."""


@dataclass(frozen=True, slots=True)
class LauncherState:
    """A launcher and its processes."""

    pid: int
    network_file: str
    port_base: int
    processes: tuple[ProcessRecord, ...]
    fork_servers: tuple[int, ...] = ()
    """Process ids of what was loaded once and forks the processes."""


def save_state(layout: DataLayout, state: LauncherState) -> None:
    """Replace the file at once, so that a reader sees the old or the new one."""
    unfinished = layout.launcher_state.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(state), indent=1) + "\n")
    unfinished.rename(layout.launcher_state)


def load_running_state(layout: DataLayout) -> LauncherState | None:
    """Read the state of the launcher that runs on this directory, or None where none runs."""
    try:
        raw: dict[str, Any] = json.loads(layout.launcher_state.read_text())
    except FileNotFoundError:
        return None
    if not is_alive(raw["pid"]):
        return None
    processes = tuple(
        ProcessRecord(**(record | {"ports": tuple(record["ports"])})) for record in raw["processes"]
    )
    servers = tuple(raw.get("fork_servers", ()))
    return LauncherState(raw["pid"], raw["network_file"], raw["port_base"], processes, servers)


def is_alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:
        return True
