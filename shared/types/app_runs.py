"""How the program of an attested app is doing."""

from dataclasses import dataclass

from shared.encoding.record import Signed


@dataclass(frozen=True, slots=True)
class AppRun:
    """The program of an instance."""

    pid: int | None
    """None while it does not run."""
    restarts: int
    """How often it was started again since its enclave began."""
    exit_status: Signed | None
    """Of its last end, negative for a signal; None before there was one."""
