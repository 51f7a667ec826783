"""Which block a client means by a tag, a number or a hash."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.parameters import AnyBlockId, BlockHash, BlockId, Tag
from shared.types.identity import Round


def resolve_number(index: ChainIndex, block: BlockId) -> int:
    """
    Give the round that a tag or number stands for; it need not exist.

    `pending` is the newest: there is no pending block. `earliest` is the first of the index.
    """
    if isinstance(block, int):
        return block
    if block in (Tag.LATEST, Tag.PENDING):
        return index.require_newest().number
    if block is Tag.EARLIEST:
        return index.first_number
    raise QueryRejected("malformed blocknumber")


async def find_block(index: ChainIndex, block: BlockId) -> IndexedRound | None:
    """Give the round, or None where there is none."""
    if block in (Tag.LATEST, Tag.PENDING):
        return index.require_newest()
    return await index.find_round(resolve_number(index, block))


async def find_any_block(index: ChainIndex, block: AnyBlockId) -> IndexedRound | None:
    """Give the round of a number, tag or hash, or None where there is none."""
    if isinstance(block, BlockHash):
        return await index.find_round_by_hash(block.hash)
    return await find_block(index, block)


async def resolve_state(index: ChainIndex, block: AnyBlockId) -> Round | None:
    """
    Give the round on whose state a question is answered; None for the newest.

    Raises
    ------
    QueryRejected
        There is no such block.
    """
    if isinstance(block, BlockHash):
        found = await index.find_round_by_hash(block.hash)
        if found is None:
            raise QueryRejected("header for hash not found")
        return Round(found.number)
    if block in (Tag.LATEST, Tag.PENDING):
        return None
    number = resolve_number(index, block)
    if number > index.require_newest().number:
        raise QueryRejected("header not found")
    return Round(number)
