"""Where a gateway keeps the rounds that it shows, as far as finding out what is final needs it."""

from typing import Protocol

from shared.types.block import BlockHeader, RoundBlock
from shared.types.identity import Incarnation


class ShownRound(Protocol):
    """A round that is shown."""

    @property
    def header(self) -> BlockHeader:
        """Proven to be final."""
        ...

    @property
    def hash(self) -> bytes:
        """Of the header, 32 bytes."""
        ...

    @property
    def number(self) -> int:
        """The round."""
        ...


class RoundIndex(Protocol):
    """Rounds in a row."""

    @property
    def incarnation(self) -> Incarnation:
        """Life of the chain to which the rounds belong."""
        ...

    @property
    def newest(self) -> ShownRound | None:
        """The last round, or None before the first arrived."""
        ...

    async def find_round(self, number: int) -> ShownRound | None:
        """Give a round, or None where it is not here."""
        ...

    def append_block(self, block: RoundBlock) -> None:
        """
        Take the next round; it is visible at once.

        Raises
        ------
        MalformedCbor, MalformedRecord
            A result record is not one.
        """
        ...

    async def wait_for_room(self) -> None:
        """Hold back whoever appends faster than rounds can be kept."""
        ...

    async def rollback(self, number: int) -> None:
        """Drop every round after one."""
        ...

    async def enter(self, incarnation: Incarnation) -> None:
        """Note that what is void in a life of the chain was dropped."""
        ...
