"""
The seam between the compute enclave and what it runs.

A runtime is the program of one ParaTime: it knows what a transaction is, executes batches on its
state and answers queries about it. The enclave around it knows which rounds are final, which keys
there are, and what is signed; the host knows nothing of either. Runtimes stand beside each other in
`runtimes/`, import nothing of the services, and are chosen by the measured configuration.

Model: oasis-core runtime host protocol (`go/runtime/host/protocol`) and
`runtime/src/transaction/dispatcher.rs` @ f9f1fdc. Differs: state is in the enclave's own store and
not read from the host by key, so a round gives a diff instead of a write log.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from services.compute.enclave.errors import UnknownRuntime
from shared.enclave.round_context import RoundContext
from shared.enclave.sdk_host import SdkHost
from shared.enclave.state import VersionedState
from shared.types.identity import Hash, PublicKey
from shared.types.messages import Inbox
from shared.types.runtime import CheckedTransaction, SpentSequence

if TYPE_CHECKING:
    from runtimes.evm import EvmRuntime
    from runtimes.python import PythonRuntime


class PendingRound(Protocol):
    """A round that was executed and is not visible yet. Dropping it discards it."""

    @property
    def state_root(self) -> Hash:
        """State root after the round."""
        ...

    @property
    def io_root(self) -> Hash:
        """Root over the included transactions and their results."""
        ...

    @property
    def included(self) -> tuple[int, ...]:
        """Positions in the batch of what was executed, in order."""
        ...

    @property
    def refused(self) -> tuple[int, ...]:
        """Positions of what may not be in this round; those in neither list did not fit."""
        ...

    @property
    def results(self) -> tuple[bytes, ...]:
        """One canonical result for each included transaction; one more may tell of the round."""
        ...

    @property
    def messages(self) -> tuple[bytes, ...]:
        """What the round asks of consensus, each a `RoundMessage`."""
        ...

    def persist(self) -> None:
        """Make it the newest version of the state, so that it survives `kill -9`."""
        ...


class Runtime(VersionedState, Protocol):
    """
    The program of a ParaTime over its state. A version of the state is a round.

    `check` and `query` are called from several threads at once, and beside the one thread that
    calls everything else. Equal inputs give equal outputs on every node.
    """

    @property
    def is_confidential(self) -> bool:
        """Whether the ParaTime needs keys of the key manager."""
        ...

    @property
    def max_batch_weight(self) -> int:
        """Sum of the weights of one batch, at most."""
        ...

    def check(self, raws: Sequence[bytes], context: RoundContext) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions against the state of `context.parent`, without executing them."""
        ...

    def execute(
        self, context: RoundContext, batch: Sequence[bytes], inbox: Inbox | None = None
    ) -> PendingRound:
        """
        Execute a batch on the state of `context.parent`, the newest version.

        What is not valid is left out, on every node alike. The genesis state is put in place before
        the first batch; what consensus hands to the round is taken up before that batch.
        """
        ...

    def read_spent(self, results: Sequence[bytes]) -> tuple[SpentSequence, ...]:
        """Say whose sequences transactions used, from their results (the runtime's own)."""
        ...

    def query(self, method: str, args: bytes, context: RoundContext) -> bytes:
        """
        Answer a question about the state of `context.parent`.

        Raises
        ------
        RuntimeRejected
            What the runtime refuses with; `core` 3 for a method that it does not have.
        MalformedCbor, MalformedRecord
            The arguments are not those of the method.
        StateRejected
            The state is not kept, is not the one under the header, or cannot be read.
        """
        ...


StateKeys = Callable[[bytes], bytes]
"""Gives the secret key, 32 bytes, of a name, such as a contract's address."""


class OpenRuntime(Protocol):
    """`open_runtime` of a package in `runtimes/`."""

    def __call__(
        self,
        module: str,
        genesis: bytes,
        directory: Path | None,
        state_key: StateKeys,
        *,
        has_dev_controls: bool,
        debug_key: PublicKey | None,
        dev_control_key: bytes | None,
        sdk_host: SdkHost | None,
    ) -> Runtime:
        """
        Open the state, or begin with none.

        Parameters
        ----------
        module : `str`
            What follows the colon in the configuration, such as `examples.sealed_notes`; or empty.
        genesis : `bytes`
            The ParaTime's genesis, as its registered descriptor carries it.
        directory : `Path`, optional
            On a disk that nobody trusts; None keeps the state in memory.
        state_key : `StateKeys`
            Asks the key manager; may raise any `QanatError`, which must come through.
        has_dev_controls : `bool`
            Whether the measured configuration is that of a network whose owner rules it, so that
            answers may help a developer where they would help a spy.
        debug_key : `PublicKey`, optional
            Whose owner may see everything, as the measured configuration says.
        dev_control_key : `bytes`, optional
            By whose signature a transaction may change the state as no execution does.
        sdk_host : `SdkHost`, optional
            For transactions of the SDK's format; without it the EVM takes none.
        """
        ...


def find_runtime(name: str) -> tuple[OpenRuntime, str]:
    """
    Find the runtime that the configuration names as `package` or `package:module`.

    Raises
    ------
    UnknownRuntime
        There is no such package; also where the name is none of a package.
    """
    package, _, module = name.partition(":")
    if not package.isidentifier():
        raise UnknownRuntime(f"{name!r} is no name of a runtime")
    try:
        found: OpenRuntime = importlib.import_module(f"runtimes.{package}").open_runtime
    except ModuleNotFoundError as error:
        raise UnknownRuntime(f"runtime {name!r} is not there: {error}") from error
    return found, module


if TYPE_CHECKING:
    # Runtimes cannot name the Protocol that they fulfil; mypy holds them to it here.
    _fulfils: tuple[type[Runtime], ...] = (EvmRuntime, PythonRuntime)
