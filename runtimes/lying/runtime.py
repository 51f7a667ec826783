"""Decorates a runtime; see `services.compute.enclave.runtime.Runtime`."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.enclave.round_context import RoundContext
from shared.enclave.sdk_host import SdkHost
from shared.types.identity import Hash, PublicKey
from shared.types.messages import Inbox

ARM = "lying.Arm"
"""Query whose argument, a big-endian number, says in how many rounds to lie."""


def open_runtime(
    module: str,
    genesis: bytes,
    directory: Path | None,
    state_key: Callable[[bytes], bytes],
    *,
    has_dev_controls: bool = False,
    debug_key: PublicKey | None = None,
    dev_control_key: bytes | None = None,
    sdk_host: SdkHost | None = None,
) -> "LyingRuntime":
    """Open the runtime of a package such as `runtimes.evm`, and stand before it."""
    honest = importlib.import_module(module).open_runtime(
        "",
        genesis,
        directory,
        state_key,
        has_dev_controls=has_dev_controls,
        debug_key=debug_key,
        dev_control_key=dev_control_key,
        sdk_host=sdk_host,
    )
    return LyingRuntime(honest)


class LyingRuntime:
    """Fulfils `Runtime` by another one; what it reports of executed rounds may be false."""

    def __init__(self, honest: Any) -> None:
        self._honest = honest
        self._lies = 0

    def __getattr__(self, name: str) -> Any:
        """Do as the honest runtime does."""
        return getattr(self._honest, name)

    def execute(
        self, context: RoundContext, batch: Sequence[bytes], inbox: Inbox | None = None
    ) -> Any:
        """Execute a batch; tell a wrong root of it where that is asked for."""
        pending = self._honest.execute(context, batch, inbox)
        if self._lies <= 0:
            return pending
        self._lies -= 1
        return FalseRound(pending)

    def query(self, method: str, args: bytes, context: RoundContext) -> bytes:
        """Answer as the honest runtime does, or learn how often to lie."""
        if method != ARM:
            return bytes(self._honest.query(method, args, context))
        self._lies = int.from_bytes(args, "big")
        return b""


class FalseRound:
    """A round as it is, but for the state root that it reports; what is kept is the truth."""

    def __init__(self, pending: Any) -> None:
        self._pending = pending
        self.state_root: Hash = bytes(byte ^ 0xFF for byte in pending.state_root)

    def __getattr__(self, name: str) -> Any:
        """Report everything else as it is."""
        return getattr(self._pending, name)
