"""What every runtime says about transactions, in words that know no runtime."""

from dataclasses import dataclass

from shared.encoding.record import Bytes32, Uint256


@dataclass(frozen=True, slots=True)
class CheckedTransaction:
    """What a runtime knows about one raw transaction; `module` is empty where it is good."""

    hash: Bytes32 | None
    """None where the bytes could not be read."""
    module: str = ""
    code: int = 0
    message: str = ""
    sender: bytes = b""
    """Whoever's transactions run in the order of `sequence`; its form is the runtime's own."""
    sequence: int = 0
    state_sequence: int = 0
    """Sequence that the sender's next transaction must have, in the state of the check."""
    priority: Uint256 = 0
    """What runs first among senders: the higher one."""
    weight: int = 0
    """Share of a batch that it may take, at most; see `Runtime.max_batch_weight`."""


@dataclass(frozen=True, slots=True)
class SpentSequence:
    """A transaction was executed: its sender's next one has a higher sequence."""

    sender: bytes
    sequence: int
