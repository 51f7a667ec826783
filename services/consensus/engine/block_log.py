"""What an engine decided, by height. It belongs to the engine; the application never reads it."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, insert, select

from services.consensus.abci import Misbehavior
from services.consensus.schema import blocks
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.encoding.values import from_wire, to_wire
from shared.kit.statements import driver_of, prepare
from shared.types.proof import LightBlock

_SAVE = prepare(insert(blocks))


@dataclass(frozen=True, slots=True)
class DecidedBlock:
    """A block that the validators signed."""

    light_block: LightBlock
    transactions: tuple[bytes, ...]
    misbehavior: tuple[Misbehavior, ...] = ()

    @property
    def height(self) -> int:
        """Height of the block."""
        return self.light_block.header.height


class DecidedBlocks(Protocol):
    """An engine's blocks; proofs of the state begin with one of them."""

    def save(self, block: DecidedBlock) -> None:
        """Keep a decided block before it is executed, in a transaction of its own."""
        ...

    def load(self, height: int | None = None) -> DecidedBlock | None:
        """Decided block of a height, by default the newest; None where there is none."""
        ...

    def forget_newest(self) -> None:
        """Note that the newest may be gone: the chain went back."""
        ...


class BlockLog:
    """The decided blocks of an engine that keeps them in the database of consensus."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._driver = connection, driver_of(connection)
        self._newest: DecidedBlock | None = None

    def save(self, block: DecidedBlock) -> None:
        """Keep a decided block before it is executed, in a transaction of its own."""
        row = {
            "height": block.height,
            "light_block": encode_record(block.light_block),
            "transactions": cbor.encode_loosely(block.transactions),
            "misbehavior": cbor.encode_loosely(to_wire(tuple[Misbehavior, ...], block.misbehavior)),
        }
        with self._driver:
            self._driver.execute(_SAVE, row)
        self._newest = block

    def load(self, height: int | None = None) -> DecidedBlock | None:
        """Decided block of a height, by default the newest; None where there is none."""
        newest = self._newest
        if newest is not None and height in (None, newest.height):
            return newest
        query = select(blocks).order_by(blocks.c.height.desc()).limit(1)
        if height is not None:
            query = select(blocks).where(blocks.c.height == height)
        with self._connection.begin():
            row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        return DecidedBlock(
            decode_record(LightBlock, row.light_block),
            from_wire(tuple[bytes, ...], cbor.decode_loosely(row.transactions)),
            from_wire(tuple[Misbehavior, ...], cbor.decode_loosely(row.misbehavior)),
        )

    def forget_newest(self) -> None:
        """Read from the database again: the chain went back."""
        self._newest = None
