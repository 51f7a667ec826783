"""
What the consensus node asks of an engine, whichever one orders the transactions.

`solo` fulfils it in process. An engine drives the application by the methods of ABCI 2.0
(`services.consensus.abci`); the node above knows neither of them but by this contract. What only
some engines can do is a capability, and is refused with `NotCapable` by the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.consensus.abci import BlockResult, QueryResult, TxResult
from services.consensus.engine.block_log import DecidedBlock
from shared.errors import Rejected
from shared.types.proof import LightBlock


class NotCapable(Rejected, module="engine", code=4):
    """The engine cannot do this; `ConsensusStatus.capabilities` says what it can."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A block that was decided and executed."""

    block: DecidedBlock
    result: BlockResult
    dropped: tuple[tuple[bytes, TxResult], ...]
    """Transactions that waited and are no longer good, and why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the chain of an engine stands."""

    chain_id: str
    height: int
    """Of the newest block that was executed; one below the first before it."""
    time_ns: int


class Engine(Protocol):
    """Orders transactions into blocks that the validators sign."""

    name: str
    capabilities: tuple[str, ...]
    """Of `rewind`, `mine`, `exact_replay` and `multi_machine`."""

    @property
    def standing(self) -> Standing:
        """Where the chain stands."""
        ...

    @property
    def waiting(self) -> int:
        """Number of transactions that wait for a block."""
        ...

    def start(self, on_decision: Callable[[Decision], None]) -> None:
        """Bring blocks and application level; `on_decision` hears of each block from then on."""
        ...

    async def run(self) -> None:
        """Make, or follow, blocks until cancelled."""
        ...

    def submit(self, raw: bytes) -> bytes:
        """Put a transaction among those that wait; its hash, or the error that refuses it."""
        ...

    def query(self, path: str, data: bytes) -> QueryResult:
        """Ask the application about its newest state and what waits."""
        ...

    def light_block(self, height: int) -> LightBlock | None:
        """Header, commit and validators of a height; None where it is not kept."""
        ...

    def transactions(self, height: int) -> tuple[bytes, ...] | None:
        """Transactions of a height, the last of which carries the state root."""
        ...

    def mine(self, count: int) -> None:
        """Make blocks at once; needs capability `mine`."""
        ...

    def rewind(self, height: int) -> None:
        """
        Forget what lies above a height and begin a new incarnation with a block.

        Needs capability `rewind`. Nothing changes where it raises `UnknownHeight`.
        """
        ...
