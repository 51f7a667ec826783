"""
Traces: what transactions and calls did, as a compute node's enclave runs them again.

The node's answer is believed as far as it fits: the results of a replay must be those of the round.
Each question may take seconds of a node, so few are asked at a time.
"""

import asyncio
from typing import Any, TypeVar

import orjson

from services.gateway import rlp
from services.gateway.index.record import decode_transaction_record
from services.gateway.index.rounds import IndexedRound, IndexedTransaction
from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import InvalidParameters, QueryRejected
from services.gateway.rpc.pretences import TELLING_WHAT_IS_UNREADABLE
from shared.api.compute import ComputeApi
from shared.api.evm import EvmQueries
from shared.errors import Rejected, Unavailable
from shared.gateways.compute_nodes import Question
from shared.types.evm import TracedTransaction, TraceQuery
from shared.types.identity import Round
from shared.types.sight import SealedView, SignedQuestion, ViewQuery, ViewRequest

MAX_STYLE_BYTES = 64 * 1024
"""JSON of the form of a trace [bytes]."""
AT_ONCE = 2
"""Questions that the nodes are asked at the same time; others wait."""
T = TypeVar("T")
Style = Any
"""JSON of `evm_core::tracing::Style`."""


class ReplayDiffers(Rejected, module="rpc", code=13):
    """A node's replay ended otherwise than the round that consensus finalized."""


class RoundMissing(Unavailable, module="rpc", code=14):
    """The node that was asked does not hold the round; another one may."""


class Replays:
    """Asks compute nodes to run what was, or what never was."""

    def __init__(self, node: GatewayNode) -> None:
        self._nodes, self._index = node.nodes, node.index
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def require(self, hash_: bytes) -> IndexedTransaction:
        """Give a mined transaction; raises `QueryRejected` where there is none."""
        found = await self._index.find_transaction(hash_)
        if found is None:
            raise QueryRejected("transaction not found")
        return found

    async def trace_transaction(self, found: IndexedTransaction, style: Style) -> bytes:
        """Trace one transaction; JSON."""
        round_ = await self._index.find_round(found.round)
        if round_ is None:
            raise QueryRejected("block not found")
        (traced,) = await self._trace(round_, found.position, style)
        return traced.trace

    async def trace_round(self, round_: IndexedRound, style: Style) -> list[bytes]:
        """Trace every transaction of a round, in order; JSON of each."""
        return [one.trace for one in await self._trace(round_, None, style)]

    async def _trace(
        self, round_: IndexedRound, wanted: int | None, style: Style
    ) -> tuple[TracedTransaction, ...]:
        if not round_.transactions:
            return ()
        if round_.natives:
            # What the chain shows of these is not enough to run them again.
            raise QueryRejected("the block has transactions of the SDK's own format")
        shown = round_.transactions if wanted is None else round_.transactions[: wanted + 1]
        query = TraceQuery(tuple(map(_raw, shown)), round_.hash, wanted, _dump(style))
        parent = Round(round_.number - 1)
        traced = await self._ask(lambda api: EvmQueries(api).trace(query, parent))
        expected = shown if wanted is None else shown[wanted:]
        if [decode_transaction_record(one.result) for one in traced] != [
            one.record for one in expected
        ]:
            raise ReplayDiffers(
                f"the replay of block {round_.number} ends otherwise than the block"
            )
        return traced

    async def simulate(
        self, request: dict[str, Any], state: Round | None
    ) -> list[list[dict[str, Any]]]:
        """Run calls in blocks that never were; the outcomes of each block's calls."""
        return [block["calls"] for block in await self.simulate_blocks(request, state)]

    async def simulate_blocks(
        self, request: dict[str, Any], state: Round | None
    ) -> list[dict[str, Any]]:
        """The same, with what calls saw of each block."""
        _dump(request["style"])
        body = orjson.dumps(request)
        answer = await self._ask(lambda api: EvmQueries(api).simulate(body, state))
        blocks: list[dict[str, Any]] = orjson.loads(answer)
        return blocks

    async def trace_raw(self, raw: bytes, style: Style) -> bytes:
        """Trace a signed transaction as if it were the next one; JSON."""
        newest = self._index.require_newest()
        query = TraceQuery((raw,), bytes(32), 0, _dump(style))
        state = Round(newest.number)
        (traced,) = await self._ask(lambda api: EvmQueries(api).trace(query, state))
        return traced.trace

    async def view(self, request: ViewRequest, signature: bytes) -> SealedView:
        """Have an enclave show a mined transaction to who asks; it decides who may see it."""
        round_ = Round((await self.require(request.transaction)).round)

        async def question(api: ComputeApi) -> SealedView:
            block = await api.fetch_round(round_)
            if block is None:
                raise RoundMissing(f"the node does not hold round {round_}")
            query = ViewQuery(request, signature, block.transactions, block.results, block.epoch)
            return await EvmQueries(api).view(query, Round(round_ - 1))

        return await self._ask(question)

    async def ask_as_owner(self, signed: SignedQuestion) -> SealedView:
        """Have an enclave answer the network's owner; it decides who that is."""
        if signed.question.round > self._index.require_newest().number:
            raise QueryRejected("header not found")
        return await self._ask(lambda api: EvmQueries(api).ask_as_owner(signed))

    async def _ask(self, question: Question[T]) -> T:
        async with self._turn:
            with TELLING_WHAT_IS_UNREADABLE:
                return await self._nodes.ask(question)


def joined(traces: list[bytes]) -> orjson.Fragment:
    """Give the JSON list of JSON texts, without reading them again."""
    return orjson.Fragment(b"[" + b",".join(traces) + b"]")


def concatenated(lists: list[bytes]) -> orjson.Fragment:
    """Give one JSON list of the items of several."""
    return joined([inner for one in lists if (inner := one.strip()[1:-1].strip())])


def _dump(style: Style) -> bytes:
    text = orjson.dumps(style)
    if len(text) > MAX_STYLE_BYTES:
        raise InvalidParameters(f"the configuration of the tracer is over {MAX_STYLE_BYTES} bytes")
    return text


def _raw(transaction: IndexedTransaction) -> bytes:
    raw = rlp.raw_transaction(transaction)
    if raw is None:
        raise QueryRejected("the raw transaction cannot be made from what the chain shows of it")
    return raw
