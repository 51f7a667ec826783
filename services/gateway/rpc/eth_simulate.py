"""`eth_*` methods that run calls which never were: simulations, access lists; and proofs."""

from dataclasses import dataclass
from typing import Any

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, resolve_state
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BadParameter,
    Tag,
    address,
    any_block_id,
    anything,
    optional,
    quantity64,
)
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.shapes import Json
from services.gateway.rpc.simulated import SimulatedBlock, describe_failure, show_call
from shared.types.identity import Round

MAX_BLOCKS = 256
"""Blocks of one simulation, gaps included. Source: go-ethereum `internal/ethapi/simulate.go`."""
BLOCK_TIME_S = 12
"""Between two simulated blocks where nothing is said [s]. Same source."""
LATEST_STATE = optional(any_block_id, Tag.LATEST)


@dataclass(frozen=True, slots=True)
class WantedBlock:
    """A block of a simulation, as the client wants it."""

    number: int | None
    time: int | None
    overrides: Json
    state: Json
    calls: tuple[CallRequest, ...]


@dataclass(frozen=True, slots=True)
class WantedSimulation:
    """What `eth_simulateV1` takes."""

    blocks: tuple[WantedBlock, ...]
    shows_transfers: bool
    shows_transactions: bool


def state_overrides(value: Any) -> Json:
    """What of the state is changed before a call."""
    if type(value) is not dict:
        raise BadParameter("must be an object of accounts")
    return value


def wanted_simulation(value: Any) -> WantedSimulation:
    """Payload of a simulation."""
    if type(value) is not dict or type(value.get("blockStateCalls")) is not list:
        raise BadParameter("must be an object with a list blockStateCalls")
    blocks = value["blockStateCalls"]
    if not 0 < len(blocks) <= MAX_BLOCKS:
        raise BadParameter(f"blockStateCalls: must be 1 to {MAX_BLOCKS} blocks")
    if value.get("validation"):
        raise BadParameter("validation: not supported; nonces, balances and fees are not checked")
    return WantedSimulation(
        tuple(map(_wanted_block, blocks)),
        bool(value.get("traceTransfers")),
        bool(value.get("returnFullTransactions")),
    )


def _wanted_block(value: Any) -> WantedBlock:
    if type(value) is not dict:
        raise BadParameter("each block must be an object")
    overrides, state = value.get("blockOverrides") or {}, value.get("stateOverrides") or {}
    calls = value.get("calls") or []
    if type(overrides) is not dict or type(state) is not dict or type(calls) is not list:
        raise BadParameter("blockOverrides and stateOverrides must be objects, calls a list")
    number, time = overrides.get("number"), overrides.get("time")
    return WantedBlock(
        number=None if number is None else quantity64(number),
        time=None if time is None else quantity64(time),
        overrides=overrides,
        state=state,
        calls=tuple(map(call_request, calls)),
    )


class EthSimulateMethods:
    """Answers of the namespace that leave nothing in the chain."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._index: ChainIndex = node.index
        self._replays = replays

    @rpc_method("eth_createAccessList", call_request, LATEST_STATE, optional(state_overrides))
    async def create_access_list(
        self, request: CallRequest, block: AnyBlockId, overrides: Json | None
    ) -> Json:
        """Accounts and slots that a call touches beside its sender and target."""
        wanted = {
            "state": overrides or {},
            "calls": [show_call(request)],
        }
        simulation = {"style": {"accessList": []}, "blocks": [wanted]}
        state = await resolve_state(self._index, block)
        ((outcome,),) = await self._replays.simulate(simulation, state)
        shown = {"accessList": outcome["trace"], "gasUsed": hex(outcome["gasUsed"])}
        failure = describe_failure(outcome)
        return shown if failure is None else shown | {"error": failure["message"]}

    @rpc_method("eth_simulateV1", wanted_simulation, LATEST_STATE)
    async def simulate(self, wanted: WantedSimulation, block: AnyBlockId) -> list[Json]:
        """Blocks that never were, on the state after one that was, with the results of calls."""
        base = await find_any_block(self._index, block)
        if base is None:
            raise QueryRejected("header not found")
        blocks = _fill_gaps(base, wanted)
        request = {
            "style": {"outcome": wanted.shows_transfers},
            "blocks": [one.request() for one in blocks],
        }
        outcomes = await self._replays.simulate(request, Round(base.number))
        shown, parent_hash = [], base.hash
        for one, calls in zip(blocks, outcomes, strict=True):
            shown.append(one.show(calls, parent_hash, with_bodies=wanted.shows_transactions))
            parent_hash = one.hash(parent_hash)
        return shown

    @rpc_method("eth_getProof", address, anything, LATEST_STATE)
    async def get_proof(self, _account: bytes, _slots: Any, _block: AnyBlockId) -> None:
        """None: the state is no Merkle-Patricia trie, so that no proof in its form would verify."""
        raise QueryRejected(
            "there is no proof in Ethereum's form: the state root of this chain is that of a "
            "binary Merkle tree (crates/state-core), not of a Merkle-Patricia trie"
        )


def _fill_gaps(base: IndexedRound, wanted: WantedSimulation) -> list[SimulatedBlock]:
    """Number the blocks and give them their time; between numbers that jump, blocks are empty."""
    blocks: list[SimulatedBlock] = []
    number, time = base.number, base.header.timestamp
    for one in wanted.blocks:
        next_number = number + 1 if one.number is None else one.number
        if next_number <= number:
            raise QueryRejected(f"block numbers must be in order: {next_number} <= {number}")
        if next_number - base.number > MAX_BLOCKS:
            raise QueryRejected("too many blocks")
        for empty in range(number + 1, next_number):
            time += BLOCK_TIME_S
            blocks.append(SimulatedBlock(empty, time, {}, {}, ()))
        next_time = time + BLOCK_TIME_S if one.time is None else one.time
        if next_time <= time:
            raise QueryRejected(f"block timestamps must be in order: {next_time} <= {time}")
        blocks.append(SimulatedBlock(next_number, next_time, one.overrides, one.state, one.calls))
        number, time = next_number, next_time
    return blocks
