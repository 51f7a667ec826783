"""Applications that the rules of `services.consensus.abci` are checked on."""

from collections.abc import Callable
from dataclasses import dataclass

from services.consensus.abci import Application
from services.consensus.store import Store
from tests.support.counter import CounterApplication, transaction


@dataclass(frozen=True)
class Subject:
    """An application with a workload that it takes whole."""

    name: str
    make: Callable[[Store], Application]
    blocks: tuple[tuple[bytes, ...], ...]
    """Transactions of each block, all good in this order."""
    bad: tuple[bytes, ...]
    """Transactions that are bad in every state, each for another reason."""

    def __str__(self) -> str:
        return self.name


COUNTER = Subject(
    "counter",
    CounterApplication,
    (
        (transaction(0, "a", "1"), transaction(1, "b", "2")),
        (),
        (transaction(2, "round"), transaction(3, "a", "3")),
        (transaction(4, "b", "4"),),
    ),
    (b"", b"\xff\xfe", b"not a transaction", transaction(1_000, "a", "too early")),
)

SUBJECTS = [COUNTER]
