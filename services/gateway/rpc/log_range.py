"""Which rounds a log query is about."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.rpc.block_ids import resolve_number
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.objects import LogQuery
from services.gateway.rpc.parameters import BlockId, Tag
from services.gateway.rpc.shapes import Json, show_log
from shared.errors import Rejected


class BackwardRange(Rejected, module="rpc", code=19):
    """A log query ends before it begins."""


async def query_logs(index: ChainIndex, query: LogQuery, max_rounds: int) -> list[Json]:
    """Events by block range or hash, address and topics."""
    first, last = await _range(index, query, max_rounds)
    return [show_log(log) for log in await index.find_logs(query.wanted, first, last)]


async def _range(index: ChainIndex, query: LogQuery, max_rounds: int) -> tuple[int, int]:
    """Rounds of a query; without a start it is the first of the index, as in the original."""
    if query.block_hash is not None:
        found = await index.find_round_by_hash(query.block_hash)
        if found is None:
            raise QueryRejected("unknown block")
        return found.number, found.number
    first = resolve_number(index, _or(query.from_block, Tag.EARLIEST))
    last = resolve_number(index, _or(query.to_block, Tag.LATEST))
    if last < first:
        raise BackwardRange("invalid request: end round greater than start round")
    if last - first > max_rounds:
        raise QueryRejected(
            f"invalid request: max allowed of rounds in logs query is: {max_rounds}"
        )
    return first, last


def _or(block: BlockId | None, default: Tag) -> BlockId:
    return default if block is None else block
